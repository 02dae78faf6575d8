package tlspolicy_test

import (
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"imgbuild/provisioners/tlspolicy"
)

// wellKnown are strings that administrators copy from one another.
var wellKnown = []string{
	"DEFAULT", "ALL", "HIGH", "HIGH:!aNULL:!MD5", "HIGH:!aNULL:!MD5:!3DES:!CAMELLIA:!AES128", "DEFAULT:@SECLEVEL=2", "DEFAULT@SECLEVEL=1",
	"ALL:!EXP:!NULL:!ADH:!LOW:!SSLv2:!SSLv3:!MD5:!RC4", "ALL:!COMPLEMENTOFDEFAULT:!eNULL", "EECDH+AESGCM:EDH+AESGCM",
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384",
	"kEECDH+aECDSA+AES:kEECDH+AES:!aNULL", "ECDHE+CHACHA20:ECDHE+AES128:RSA+AES128:ECDHE+AES256:RSA+AES256:!MD5",
	"ALL:!aNULL:!ADH:!eNULL:!LOW:!EXP:RC4+RSA:+HIGH:+MEDIUM", "HIGH:!kEDH:!ADH:!MD5:@STRENGTH", "AES256:AES128:-SHA:+RSA",
	"TLSv1.2:!kRSA", "eNULL", "COMPLEMENTOFALL", "aNULL:HIGH", "ALL:-AES:AES", "PSK:SRP:-DSS",
	"ALL !kPSK;!kSRP,!aDSS", "ALL:COMPLEMENTOFALL:@STRENGTH",
}

func TestStringsExpandAsInOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	version, err := exec.Command(openssl, "version").Output()
	if err != nil || !strings.HasPrefix(string(version), "OpenSSL 3.0.") {
		t.Skipf("the table is that of OpenSSL 3.0, not of %s", version)
	}
	list := wellKnown
	random := rand.New(rand.NewPCG(1, 1))
	words := strings.Fields("ALL HIGH kRSA RSA kDHE DHE EDH DH kECDHE ECDHE EECDH ECDH AECDH ADH PSK kPSK kRSAPSK kDHEPSK kECDHEPSK SRP kSRP aRSA aDSS DSS aECDSA " +
		"ECDSA aNULL aPSK aSRP AES AES128 AES256 AESGCM AESCCM AESCCM8 CAMELLIA CAMELLIA128 CAMELLIA256 CHACHA20 ARIA ARIA128 ARIA256 CBC MD5 SHA SHA1 SHA256 SHA384 " +
		"TLSv1 TLSv1.0 TLSv1.2 SSLv3 LOW MEDIUM RC4 3DES NULL eNULL COMPLEMENTOFDEFAULT AES128-SHA ECDHE-RSA-AES256-GCM-SHA384 DES-CBC3-SHA EXP")
	for range 120 {
		text := words[random.IntN(len(words))]
		for range random.IntN(5) {
			text += ":" + []string{"", "", "!", "-", "+"}[random.IntN(5)] + words[random.IntN(len(words))]
			if random.IntN(3) == 0 {
				text += "+" + words[random.IntN(len(words))]
			}
			if random.IntN(8) == 0 {
				text += ":@STRENGTH"
			}
		}
		list = append(list, text)
	}
	for _, text := range list {
		// An empty list is an error to openssl.
		out, _ := exec.Command(openssl, "ciphers", "-v", text).Output()
		var want []string
		for line := range strings.SplitSeq(string(out), "\n") {
			if name, _, _ := strings.Cut(line, " "); name != "" && !strings.HasPrefix(name, "TLS_") {
				want = append(want, name)
			}
		}
		got, err := tlspolicy.Expand(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -openssl +here:\n%s", text, diff)
		}
	}
}

func TestUnknownWordsAreRefused(t *testing.T) {
	for _, text := range []string{"HIGH:NEWCIPHER", "!WEAK:ALL", "PROFILE=SYSTEM", "ALL:@SECLEVEL=9", "ALL:@ORDER", "ECDHE+AESGCN", "HIGH:DEFAULT", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", strings.Repeat("AES:", 2000), strings.Repeat("A", 20000)} {
		if got, err := tlspolicy.Expand(text); err == nil {
			t.Errorf("%.40s: %d suites", text, len(got))
		}
	}
}
