package fabric

import (
	"errors"
	"fmt"

	"imprint/base/netdev"
	"imprint/host/cloud"
)

const kindNetwork = "network"

func bridgeName(id cloud.NetworkID) string { return "brq" + cloud.Short(id) }

// ensureNetwork makes the bridge of a network, or gives it the MTU that the
// network has now. A bridge without ports goes with the next [Fabric.Sweep].
func (s *session) ensureNetwork(id cloud.NetworkID, mtu int) error {
	if !cloud.IsUUID(string(id)) {
		return fmt.Errorf("network %q: not a UUID", id)
	}
	name, mark := bridgeName(id), s.mark(kindNetwork, string(id))
	_, err := s.find(name, mark)
	if errors.Is(err, netdev.ErrNotFound) {
		s.log.Info("bridge made", "link", name, "network_id", id)
		err = s.h.AddBridge(name, groupOurs)
	}
	if err == nil {
		err = s.h.Set(name, netdev.Settings{Alias: mark, MTU: mtu, Up: true})
	}
	if err != nil {
		return fmt.Errorf("network %s: %w", id, err)
	}
	return nil
}

// sweepNetworks removes our bridges that have no port.
func (s *session) sweepNetworks(links []netdev.Link) error {
	busy := map[int]bool{}
	for _, l := range links {
		busy[l.Master] = true
	}
	var failed error
	for _, l := range links {
		id, ours := s.unmark(kindNetwork, l.Alias)
		if !ours && !(l.Kind == "bridge" && unfinished(l)) || busy[l.Index] {
			continue
		}
		s.log.Info("bridge removed", "link", l.Name, "network_id", id)
		failed = errors.Join(failed, s.h.DeleteLink(l.Name))
	}
	return failed
}
