package stage

import (
	"errors"
	"fmt"

	"imprint/base/cloudconfig"
	"imprint/guest/clouddir"
)

// ignore logs what was wrong with data from outside and is left out. The boot
// goes on; its status is degraded.
func (b *Boot) ignore(component, text string) {
	b.Log.Warn(text, clouddir.Component, component)
	b.ignored = append(b.ignored, text)
}

const stopMark = "imprint_strict"

// errStopped ends the stages after the one that found bad data.
var errStopped = errors.New("not run: a stage before stopped the boot because of bad data (imprint: strict)")

// stopped is an error once a stage of this boot stopped it.
func (b *Boot) stopped() error {
	if b.Dir.DoneThisBoot(stopMark) {
		return errStopped
	}
	return nil
}

// stop ends the boot if the configuration is strict and something was ignored:
// no module runs any more.
func (b *Boot) stop(config *cloudconfig.Node) error {
	strict, err := config.Get("imprint").Bool("strict")
	if err != nil {
		b.Log.Warn("imprint: strict: " + err.Error())
	}
	if len(b.ignored) == 0 || !strict.Or(false) {
		return nil
	}
	if err := b.Dir.MarkBoot(stopMark); err != nil {
		return err
	}
	return fmt.Errorf("the boot is stopped (imprint: strict): %s", b.ignored[0])
}
