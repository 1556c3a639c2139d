package network

import (
	"fmt"

	"imprint/host/cloud"
)

// fault is an error in Neutron's words (neutron_lib/exceptions, 3.1.0): the
// reason is the exception's name.
func fault(k cloud.Kind, reason, format string, args ...any) error {
	return &cloud.Error{Kind: k, Reason: reason, Text: fmt.Sprintf(format, args...)}
}

func invalidInput(format string, args ...any) error {
	return fault(cloud.Invalid, "InvalidInput", "Invalid input for operation: %s.", fmt.Sprintf(format, args...))
}

func badRouter(format string, args ...any) error {
	return fault(cloud.Invalid, "BadRequest", "Bad router request: %s.", fmt.Sprintf(format, args...))
}

func noNetwork[T ~string](id T) error {
	return fault(cloud.NotFound, "NetworkNotFound", "Network %.64s could not be found.", id)
}

func noSubnet[T ~string](id T) error {
	return fault(cloud.NotFound, "SubnetNotFound", "Subnet %.64s could not be found.", id)
}

func noPort[T ~string](id T) error {
	return fault(cloud.NotFound, "PortNotFound", "Port %.64s could not be found.", id)
}

func noRouter[T ~string](id T) error {
	return fault(cloud.NotFound, "RouterNotFound", "Router %.64s could not be found", id)
}

func forbidden(what string) error {
	return fault(cloud.Forbidden, "PolicyNotAuthorized", "%s is disallowed by policy", what)
}

func portInUse(p *cloud.Port) error {
	return fault(cloud.Conflict, "PortInUse",
		"Unable to complete operation on port %s for network %s. Port already has an attached device %s.",
		p.PortID, p.NetworkID, p.DeviceID)
}
