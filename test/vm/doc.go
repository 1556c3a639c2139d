// Package vm shows what needs another kernel than the machine's: it boots
// virtual machines with config drives and looks at what their kernel's isofs
// and vfat, and the real cloud-init, make of them. Its tests take minutes and
// need the scripts that build and boot the guest; make test-vm runs them.
package vm
