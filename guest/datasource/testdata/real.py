"""Runs the real cloud-init's data sources for the comparison test: reads cases as
JSON, one a line, and prints what the source found. What a case says of the machine
(DMI values, command line, volumes, interfaces) takes the place of the system. The
argument is the root of a system that has cloud-init."""
import base64, json, sys, time

sys.path.insert(0, sys.argv[1] + "/usr/lib/python3/dist-packages")
case = {}

from cloudinit import dmi, helpers, net, sources, util
from cloudinit.sources import DataSourceAliYun, DataSourceConfigDrive, DataSourceEc2
from cloudinit.sources import DataSourceNoCloud, DataSourceOpenStack
from cloudinit.sources.helpers import ec2

FIELDS = {"system-serial-number": "product_serial", "system-product-name": "product_name",
          "system-uuid": "product_uuid", "chassis-asset-tag": "chassis_asset_tag",
          "system-manufacturer": "sys_vendor"}
dmi.read_dmi_data = lambda key: case["dmi"].get(FIELDS[key])
util.get_cmdline = lambda: case["cmdline"]
util.is_container = lambda: False
util.is_x86 = lambda *_: True
util.is_lxd = lambda: False
util.is_resolvable_url = lambda _: True
util.get_hostname = lambda: "the-host"
util.get_fqdn_from_hosts = lambda _: None
time.sleep = lambda _: None


def find_devs_with(criteria=None, **_):
    key, _, value = (criteria or "=").partition("=")
    names = {"TYPE": "type", "LABEL": "label", "LABEL_FATBOOT": "label"}
    return [d for d, v in case["volumes"].items() if v.get(names.get(key)) == value]


util.find_devs_with = find_devs_with
util.is_partition = lambda device: device[-1].isdigit() and "sr" not in device


def mount_cb(device, callback, data=None, **_):
    tree = case["volumes"][device]["tree"]
    return callback(tree, data) if data is not None else callback(tree)


util.mount_cb = mount_cb
net.get_interfaces_by_mac = lambda *_: case["macs"]
net.find_fallback_nic = lambda *_: sorted(case["macs"].values() or [None])[0]
real = ec2.get_instance_metadata
# The OpenStack source asks for this tree at the default address, whatever its own.
ec2.get_instance_metadata = lambda *a, **k: real(*a, **k) if a else real(**{"metadata_address": case["url"], **k})
DataSourceConfigDrive.on_first_boot = lambda *_, **__: None

classes = {"NoCloud": DataSourceNoCloud.DataSourceNoCloud, "NoCloudNet": DataSourceNoCloud.DataSourceNoCloudNet,
           "ConfigDrive": DataSourceConfigDrive.DataSourceConfigDrive,
           "OpenStack": DataSourceOpenStack.DataSourceOpenStack,
           "Ec2": DataSourceEc2.DataSourceEc2, "AliYun": DataSourceAliYun.DataSourceAliYun}

def text(value):
    if value is None:
        return ""
    if isinstance(value, list):
        return "#cloud-config-archive\n" + json.dumps(value)
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


def plain(value):
    if value is None or value == sources.UNSET:
        return None
    return json.loads(util.json_dumps(value).replace("ci-b64:", ""))


def data(source):
    """What persist_instance_data puts below ds."""
    crawled = getattr(source, "_crawled_metadata", None)
    if crawled:
        found = plain({k: v for k, v in crawled.items() if k not in ("user-data", "vendor-data")})
        if "dynamic" in found:
            identity = found["dynamic"]["instance-identity"]
            found["dynamic"]["instance-identity"] = {"document": identity["document"]}
        return found
    found = {"meta_data": source.metadata}
    for name, attribute in (("network_json", "network_json"), ("ec2_metadata", "ec2_metadata")):
        if getattr(source, attribute, sources.UNSET) not in (sources.UNSET, None):
            found[name] = getattr(source, attribute)
    return plain(found)


def ask():
    root = case["root"]
    paths = helpers.Paths({"cloud_dir": root + "/var/lib/cloud", "run_dir": root + "/run/cloud-init", "templates_dir": "/nowhere"})
    config = {"datasource_list": [case["source"]], "datasource": case["config"] or {}}
    source = classes[case["source"]](config, None, paths)
    try:
        found = source._get_data()
    except Exception as e:
        return {"found": False, "why": repr(e)}
    if not found:
        return {"found": False}
    return {
        "found": True, "str": str(source), "metadata": plain(source.metadata), "userdata": text(source.userdata_raw),
        "vendordata": text(source.vendordata_raw), "vendordata2": text(source.vendordata2_raw),
        "network_config": plain(source.network_config) if case["source"] not in ("OpenStack", "ConfigDrive") else None,
        "network_json": plain(getattr(source, "network_json", None)),
        "eni": getattr(source, "network_eni", None) or getattr(source, "_network_eni", None),
        "ec2": plain(getattr(source, "ec2_metadata", None)),
        "instance_id": source.get_instance_id(), "hostname": source.get_hostname().hostname,
        "fqdn": source.get_hostname(fqdn=True).hostname, "keys": source.get_public_ssh_keys(),
        "zone": source.availability_zone, "region": source.region, "cloud_name": source.cloud_name,
        "platform": source.platform_type, "subplatform": source.subplatform,
        "cloud_id": sources.canonical_cloud_id(source.cloud_name, source.region, source.platform_type),
        "files": {k: text(v) for k, v in getattr(source, "files", {}).items()},
        "ds": data(source), "same": source.check_instance_id({}),
    }


for line in sys.stdin:
    case.clear()
    case.update(json.loads(line))
    print(json.dumps(ask()), flush=True)
