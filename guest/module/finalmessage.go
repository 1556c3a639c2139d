package module

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
)

const finalMessage = "Cloud-init v. $version finished at $timestamp. Datasource $datasource.  Up $uptime seconds"

// variable is $name, ${name} or {{ name }}.
var variable = regexp.MustCompile(`\$(\w+)|\$\{(\w+)\}|\{\{\s*(\w+)\s*\}\}`)

// FinalMessage prints the message that ends a boot and writes boot-finished.
// The message may use version, timestamp, datasource and uptime as $name,
// ${name} or {{name}}, in any case of letters; the rest of Jinja is not
// evaluated.
func FinalMessage(_ context.Context, e *Env) error {
	message, err := e.Config.Text("final_message")
	if err != nil {
		return err
	}
	if message = strings.TrimSpace(message); message == "" {
		message = finalMessage
	}
	if first, rest, _ := strings.Cut(message, "\n"); strings.HasPrefix(first, "## template:") {
		message = rest
	}
	now := e.Now().UTC().Format(time.RFC1123Z)
	uptime := fmt.Sprintf("%.2f", e.Uptime().Seconds())
	values := map[string]string{"version": e.Version, "timestamp": now, "datasource": e.Cloud.Source, "uptime": uptime}
	text := variable.ReplaceAllStringFunc(message, func(ref string) string {
		name := strings.ToLower(strings.Trim(ref, "${} \t"))
		if v, ok := values[name]; ok {
			return v
		}
		return ref
	})
	e.Log.Debug(text)
	if _, err := io.WriteString(e.Output, text+"\n"); err != nil {
		return fmt.Errorf("print final message: %w", err)
	}
	if e.Cloud.Fallback {
		e.Log.Warn("Used fallback datasource")
	}
	return e.Dir.FinishBoot(fmt.Sprintf("%s - %s - v. %s", uptime, now, e.Version))
}
