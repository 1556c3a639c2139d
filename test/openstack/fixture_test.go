//go:build openstack

package openstack

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// seeded has the instances as one seeding of the control plane made them; the
// next one gives the same instances other ids, keys and addresses.
const seeded = "../../base/openstack/testdata/instances.json"

// facts are what differs between two seedings of an instance.
type facts struct {
	ID, Project, Image, Kernel, Ramdisk, Reservation, Roles, Key string
	Number                                                       int
	Images                                                       map[string]int // numbers of images
	Public                                                       []string
}

func (i *instance) facts() (facts, error) {
	f := facts{}
	err := query(&f, fmt.Sprintf(`select json_object('ID', i.uuid, 'Project', i.project_id, 'Image', i.image_ref, 'Kernel', ifnull(i.kernel_id, ''),
		'Ramdisk', ifnull(i.ramdisk_id, ''), 'Reservation', i.reservation_id, 'Key', ifnull(i.key_data, ''),
		'Number', (select m.id from nova.instance_id_mappings m where m.uuid = i.uuid),
		'Roles', (select s.value from nova.instance_system_metadata s where s.instance_uuid = i.uuid and s.key = 'boot_roles' and s.deleted = 0),
		'Images', (select json_objectagg(uuid, id) from nova.s3_images),
		'Public', (select json_arrayagg(f.floating_ip_address) from neutron.floatingips f join neutron.ports p on p.id = f.fixed_port_id where p.device_id = i.uuid))
		from nova.instances i where i.uuid = '%s'`, i.ID))
	return f, err
}

// object is a JSON object that is changed in places.
type object = map[string]any

// writeFixture writes the instances in the form of docs/metadata.md.
func writeFixture(dir string, all []*instance) error {
	b, err := os.ReadFile(seeded)
	var templates []object
	if err == nil {
		err = json.Unmarshal(b, &templates)
	}
	if err != nil {
		return err
	}
	for _, i := range all {
		f, err := i.facts()
		if err != nil {
			return err
		}
		for _, o := range templates {
			if o["name"] != i.Name {
				continue
			}
			if err := i.fill(o, f); err != nil {
				return fmt.Errorf("fixture of %s: %w", i.Name, err)
			}
			if b, err = json.Marshal(o); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, i.Alias+".json"), b, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill puts the facts of this seeding into the template.
func (i *instance) fill(o object, f facts) error {
	o["uuid"], o["project_id"], o["image_id"], o["boot_roles"] = f.ID, f.Project, f.Image, f.Roles
	if key, ok := o["key"].(object); ok {
		key["data"] = f.Key
	}
	ec2 := o["ec2"].(object)
	ec2["instance_id"], ec2["reservation_id"] = fmt.Sprintf("i-%08x", f.Number), f.Reservation
	for name, image := range map[string]string{"image_id": f.Image, "kernel_id": f.Kernel, "ramdisk_id": f.Ramdisk} {
		if old, ok := ec2[name].(string); ok {
			ec2[name] = fmt.Sprintf("%s-%08x", old[:3], f.Images[image])
		}
	}
	if f.Public != nil {
		ec2["public_ips"] = f.Public
	}
	ports := o["ports"].([]any)
	if len(ports) != len(i.Ports) {
		return fmt.Errorf("%d ports, %d were seeded before", len(i.Ports), len(ports))
	}
	b, err := json.Marshal(o["devices"])
	if err != nil {
		return err
	}
	devices := string(b)
	for n, p := range i.Ports {
		old := ports[n].(object)
		devices = strings.ReplaceAll(devices, old["mac"].(string), p.MAC)
		old["id"], old["network_id"], old["mac"], old["link_id"] = p.ID, p.Network, p.MAC, "tap"+p.ID[:11]
		for _, s := range old["subnets"].([]any) {
			subnet := s.(object)
			six := strings.Contains(subnet["cidr"].(string), ":")
			addrs := []string{}
			for _, a := range p.Addrs {
				if a.Is6() == six {
					addrs = append(addrs, a.String())
				}
			}
			subnet["addrs"] = addrs
		}
	}
	if o["devices"] == nil {
		return nil
	}
	o["devices"] = json.RawMessage(devices)
	return nil
}
