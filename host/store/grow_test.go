package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"

	"imprint/host/cloud"
)

// TestGrowsToThree does what docs/store.md says about a larger cluster: the
// directory of a store becomes the first of three members of stock etcd. It
// runs in a process of its own, since members leave connections behind.
func TestGrowsToThree(t *testing.T) {
	if out, err := helperCommand("grow", t.TempDir()).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func growToThree(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := Open(ctx, diskOptions(dir))
	if err != nil {
		return err
	}
	err = errors.Join(s.Commit(ctx, cloud.Txn{Put: []cloud.Record{project("a", "a")}}), s.Close())
	if err != nil {
		return err
	}
	third, err := growMembers(ctx, dir)
	if err != nil {
		return err
	}
	resp, err := v3client.New(third.Server).Get(ctx, recordKey(cloud.KindProject, "a"))
	if err != nil || len(resp.Kvs) != 1 {
		return fmt.Errorf("read from the third member: %v, %w", resp, err)
	}
	_, err = Open(ctx, diskOptions(dir))
	return wantError("open a member of three", err, cloud.Internal, "cluster of 3 members")
}

// growMembers returns the third member, after the first has stopped.
func growMembers(ctx context.Context, dir string) (*embed.Etcd, error) {
	peer := freeURL()
	first, err := startMember(ctx, memberName, filepath.Join(diskOptions(dir).Dir, etcdDir), peer, nil)
	if err != nil {
		return nil, err
	}
	client := v3client.New(first.Server)
	if _, err := client.MemberUpdate(ctx, uint64(first.Server.MemberID()), []string{peer.String()}); err != nil {
		return nil, err
	}
	cluster := []string{memberName + "=" + peer.String()}
	var last *embed.Etcd
	for _, name := range []string{"second", "third"} {
		peer := freeURL()
		if _, err := client.MemberAdd(ctx, []string{peer.String()}); err != nil {
			return nil, err
		}
		cluster = append(cluster, name+"="+peer.String())
		if last, err = startMember(ctx, name, filepath.Join(dir, name), peer, cluster); err != nil {
			return nil, err
		}
	}
	first.Close()
	return last, nil
}

func freeURL() url.URL {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}
}

// startMember starts a stock member; cluster is that of an existing one.
func startMember(ctx context.Context, name, dir string, peer url.URL, cluster []string) (*embed.Etcd, error) {
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir = name, dir
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{peer}, []url.URL{peer}
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = nil, nil
	cfg.EnableGRPCGateway = false
	cfg.InitialCluster = name + "=" + peer.String()
	if cluster != nil {
		cfg.InitialCluster, cfg.ClusterState = strings.Join(cluster, ","), embed.ClusterStateFlagExisting
	}
	cfg.StrictReconfigCheck = false // would wait for each member to be old enough
	cfg.TickMs, cfg.ElectionMs = 20, 400
	cfg.LogLevel = "fatal"
	m, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-m.Server.ReadyNotify():
		return m, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("member %s is not ready: %w", name, ctx.Err())
	}
}
