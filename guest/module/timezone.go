package module

import "context"

// Timezone sets the local time zone.
func Timezone(_ context.Context, e *Env) error {
	zone, err := e.Config.Text("timezone")
	if err != nil {
		return err
	}
	if zone == "" {
		e.Log.Debug("Skipping module named timezone, no 'timezone' specified")
		return nil
	}
	return e.Distro.SetTimezone(zone)
}
