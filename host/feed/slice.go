package feed

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"imprint/host/cloud"
)

// diff calls send with the frames that lead from one slice to another.
func diff(from, to cloud.Slice, send func(frame) error) error {
	if err := diffKind(kindNetwork, from.Networks, to.Networks, send); err != nil {
		return err
	}
	if err := diffKind(kindRouter, from.Routers, to.Routers, send); err != nil {
		return err
	}
	if err := diffKind(kindPort, from.Ports, to.Ports, send); err != nil {
		return err
	}
	return diffKind(kindInstance, from.Instances, to.Instances, send)
}

func diffKind[K ~string, V any](kind string, from, to map[K]V, send func(frame) error) error {
	for _, id := range slices.Sorted(maps.Keys(from)) {
		if _, kept := to[id]; !kept {
			if err := send(frame{Type: typeRemove, Kind: kind, ID: string(id)}); err != nil {
				return err
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(to)) {
		if old, had := from[id]; had && reflect.DeepEqual(old, to[id]) {
			continue
		}
		value, err := json.Marshal(to[id])
		if err != nil {
			return fmt.Errorf("encode %s %s: %w", kind, id, err)
		}
		if err := send(frame{Type: typeSet, Kind: kind, ID: string(id), Value: value}); err != nil {
			return err
		}
	}
	return nil
}

// change applies a set or remove frame. A kind that this program does not know
// is passed over.
func change(s cloud.Slice, f frame) error {
	switch f.Kind {
	case kindNetwork:
		return changeKind(s.Networks, f, func(n cloud.DesiredNetwork) cloud.NetworkID { return n.ID })
	case kindRouter:
		return changeKind(s.Routers, f, func(r cloud.DesiredRouter) cloud.RouterID { return r.ID })
	case kindPort:
		return changeKind(s.Ports, f, func(p cloud.DesiredPort) cloud.PortID { return p.ID })
	case kindInstance:
		return changeKind(s.Instances, f, func(i cloud.DesiredInstance) cloud.ServerID { return i.ID })
	}
	return nil
}

func changeKind[K ~string, V any](records map[K]V, f frame, idOf func(V) K) error {
	if f.Type == typeRemove {
		delete(records, K(f.ID))
		return nil
	}
	var v V
	if err := json.Unmarshal(f.Value, &v); err != nil {
		return fmt.Errorf("decode %s %s: %w", f.Kind, f.ID, err)
	}
	if idOf(v) != K(f.ID) || f.ID == "" {
		return fmt.Errorf("%s %q is sent as %q", f.Kind, idOf(v), f.ID)
	}
	if _, had := records[K(f.ID)]; !had && len(records) >= maxRecords {
		return fmt.Errorf("more than %d records of kind %s", maxRecords, f.Kind)
	}
	records[K(f.ID)] = v
	return nil
}

// offer puts s into box in place of what nobody has taken yet. Only one
// goroutine offers to a box.
func offer(box chan cloud.Slice, s cloud.Slice) {
	select {
	case <-box:
	default:
	}
	box <- s
}
