package lab

import (
	"io"
	"net/http"
	"testing"

	"imprint/host/metadataagent"
)

// BenchmarkHops asks over proxy, agent and service on connections that are
// kept.
func BenchmarkHops(b *testing.B) {
	const any = 1 << 30
	h := startHopsFor(b, hopModel(), metadataagent.Limits{Rate: any, Burst: any, SenderRate: any, SenderBurst: any})
	address := h.listen(b, "router/"+string(hopRouter))
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		client := http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		for p.Next() {
			res, err := client.Get("http://" + address + "/latest/meta-data/instance-id")
			if err != nil {
				b.Error(err)
				return
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK {
				b.Error(res.Status)
				return
			}
		}
	})
}
