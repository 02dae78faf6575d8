package live_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"imgbuild/builder/scan/live"
	"imgbuild/images/integrity"
)

// take connects and takes stock.
func (d *sshd) take(rules integrity.Rules) (*live.Stock, error) {
	d.t.Helper()
	host, err := d.client.Find("ssh://" + d.addr)
	must(d.t, err)
	s, err := d.client.Connect(context.Background(), host)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	self, err := os.Executable()
	must(d.t, err)
	return live.Take(context.Background(), s, &live.Guest{File: self}, rules)
}

func TestStockIsTakenAndNothingLeft(t *testing.T) {
	d := newSSHD(t, "")
	d.knows(d.keys[0].PublicKey())
	stock, err := d.take(integrity.DefaultRules())
	must(t, err)
	if _, ok := stock.Manifest.Find("etc/motd"); !ok || len(stock.Inventory.Users) != 1 || stock.Inventory.Users[0].Name != "ops" {
		t.Errorf("got %+v, %d files", stock.Inventory, len(stock.Manifest))
	}
	if stock, err = d.take(nil); err != nil || stock.Manifest != nil {
		t.Errorf("without files: %v, %d files", err, len(stock.Manifest))
	}
	d.clean()
}

func TestAnswersThatAreNoneAreErrors(t *testing.T) {
	for fake, want := range map[string]string{
		"silent": "does not answer what it has",
		"liar":   "an inventory with 300001 alternatives",
		"broken": "no such disk",
	} {
		d := newSSHD(t, fake)
		d.knows(d.keys[0].PublicKey())
		if _, err := d.take(nil); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "taking the inventory of ssh://ops@127.0.0.1") {
			t.Errorf("%s: got %v", fake, err)
		}
		d.clean()
	}
}
