package clouddir

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// Stage is the name of a stage in status.json.
type Stage string

// The stages in their order of a boot.
const (
	StageLocal  Stage = "init-local"
	StageInit   Stage = "init"
	StageConfig Stage = "modules-config"
	StageFinal  Stage = "modules-final"
	// StageModulesInit is the init modules run by themselves.
	StageModulesInit Stage = "modules-init"
)

const (
	statusFile = DataDir + "/status.json"
	resultFile = DataDir + "/result.json"
	statusLink = RunDir + "/status.json"
	resultLink = RunDir + "/result.json"
)

// Record is what status.json says of one stage. Times are seconds since 1970.
type Record struct {
	Errors   []string `json:"errors"`
	Finished *float64 `json:"finished"`
	// Recoverable holds warnings by level, in the words that cloud-init
	// uses since 23.4; it is left out while there are none.
	Recoverable map[string][]string `json:"recoverable_errors,omitempty"`
	Start       *float64            `json:"start"`
}

// Status is status.json. The field order is the sorted key order of the file.
type Status struct {
	Datasource    *string `json:"datasource"`
	Init          Record  `json:"init"`
	InitLocal     Record  `json:"init-local"`
	ModulesConfig Record  `json:"modules-config"`
	ModulesFinal  Record  `json:"modules-final"`
	ModulesInit   Record  `json:"modules-init"`
	Stage         *Stage  `json:"stage"`
}

type versioned[T any] struct {
	V1 T `json:"v1"`
}

type result struct {
	Datasource *string  `json:"datasource"`
	Errors     []string `json:"errors"`
}

// Outcome is how a stage ended.
type Outcome struct {
	// Datasource is the source's description; "" leaves it as it was.
	Datasource string
	Errors     []string
	Warnings   map[string][]string
}

func (s *Status) record(stage Stage) *Record {
	switch stage {
	case StageLocal:
		return &s.InitLocal
	case StageInit:
		return &s.Init
	case StageConfig:
		return &s.ModulesConfig
	case StageFinal:
		return &s.ModulesFinal
	}
	return &s.ModulesInit
}

func (s *Status) records() []*Record {
	return []*Record{&s.Init, &s.InitLocal, &s.ModulesConfig, &s.ModulesFinal, &s.ModulesInit}
}

// Begin writes that stage runs. The local stage starts a new status and takes
// the last boot's result away. cloud-init: cmd/main.py status_wrapper.
func (d *Dir) Begin(stage Stage) error {
	var s Status
	if stage == StageLocal {
		for _, name := range []string{statusLink, resultLink, statusFile, resultFile} {
			if err := d.remove(name); err != nil {
				return err
			}
		}
	} else {
		s = d.loadStatus()
	}
	now := d.seconds()
	*s.record(stage) = Record{Start: &now}
	s.Stage = &stage
	if err := d.storeStatus(s); err != nil {
		return err
	}
	return d.link("../../var/lib/cloud/data/status.json", statusLink)
}

// Finish writes how stage ended; after the final stage also result.json.
func (d *Dir) Finish(stage Stage, o Outcome) error {
	s := d.loadStatus()
	now := d.seconds()
	r := s.record(stage)
	r.Errors, r.Recoverable, r.Finished = o.Errors, o.Warnings, &now
	if len(r.Recoverable) == 0 {
		r.Recoverable = nil
	}
	if o.Datasource != "" {
		s.Datasource = &o.Datasource
	}
	s.Stage = nil
	if err := d.storeStatus(s); err != nil {
		return err
	}
	if stage != StageFinal {
		return nil
	}
	res := result{Datasource: s.Datasource, Errors: s.Errors()}
	if err := d.writeJSON(resultFile, versioned[result]{res}, 0o644); err != nil {
		return err
	}
	return d.link("../../var/lib/cloud/data/result.json", resultLink)
}

// Errors are the errors of all stages; never nil.
func (s *Status) Errors() []string {
	all := []string{}
	for _, stage := range []Stage{StageLocal, StageInit, StageConfig, StageFinal} {
		all = append(all, s.record(stage).Errors...)
	}
	return all
}

// Warnings are the warnings of all stages in the order of a boot.
func (s *Status) Warnings() []string {
	var all []string
	for _, stage := range []Stage{StageLocal, StageInit, StageConfig, StageFinal} {
		for _, level := range []string{"ERROR", "WARNING", "DEPRECATED"} {
			all = append(all, s.record(stage).Recoverable[level]...)
		}
	}
	return all
}

// recoverable are the warnings of all stages by level, nil without any.
func (s *Status) recoverable() map[string][]string {
	var all map[string][]string
	for _, stage := range []Stage{StageLocal, StageInit, StageConfig, StageFinal} {
		for level, lines := range s.record(stage).Recoverable {
			if all == nil {
				all = map[string][]string{}
			}
			all[level] = append(all[level], lines...)
		}
	}
	return all
}

// loadStatus reads status.json; one that is missing or damaged counts as empty.
func (d *Dir) loadStatus() Status {
	var v versioned[Status]
	if data, err := d.root.ReadFile(statusFile); err == nil {
		if json.Unmarshal(data, &v) != nil {
			return Status{}
		}
	}
	return v.V1
}

func (d *Dir) storeStatus(s Status) error {
	for _, r := range s.records() {
		if r.Errors == nil {
			r.Errors = []string{}
		}
	}
	data, err := marshal(versioned[Status]{s})
	if err != nil {
		return fmt.Errorf("encode %s: %w", statusFile, err)
	}
	return d.note(statusFile, data, 0o644)
}

func (d *Dir) link(target, name string) error {
	if now, err := d.root.Readlink(name); err == nil && now == target {
		return nil
	}
	if err := d.root.Symlink(target, name); err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	return nil
}

func (d *Dir) seconds() float64 { return float64(d.now().UnixMicro()) / 1e6 }

func formatSeconds(s float64) string { return strconv.FormatFloat(s, 'f', -1, 64) }
