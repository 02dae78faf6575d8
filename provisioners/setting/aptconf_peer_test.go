package setting_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"imgbuild/images/peertest"
)

// autoremove has the forms of the files that apt brings.
const autoremove = `APT
{
  NeverAutoRemove
  {
	"^firmware-linux.*";
	"^linux-firmware$";
  };

  VersionedKernelPackages
  {
	# kernels
	"linux-.*";
  };

  Move-Autobit-Sections
  {
	"oldlibs";
  };
};
DPkg::Pre-Install-Pkgs {"/usr/sbin/dpkg-preconfigure --apt || true";};
Acquire::Languages "none";
APT::Install-Recommends "0";
`

// TestAptConfIsReadAsAptReadsIt compares with what apt-config says of a root.
func TestAptConfIsReadAsAptReadsIt(t *testing.T) {
	peertest.Need(t, "apt-config")
	for _, files := range []map[string]string{
		{"a": autoremove},
		{"a": "APT::Install-Recommends \"0\";\n"}, {"a": "apt::install-recommends no;\n"}, {"a": "APT { Install-Recommends \"0\"; };\n"}, {"a": "APT { Install-Recommends \"0\"; Get { X \"y\"; } }\n"},
		{"a": "APT::Install-Recommends \"0\";\n", "b": "APT::Install-Recommends \"1\";\n"}, {"b": "APT::Install-Recommends \"0\";\n", "a": "APT::Install-Recommends \"1\";\n"},
		{"a.conf": "APT::Install-Recommends \"0\";\n", "b.bak": "APT::Install-Recommends \"1\";\n", ".c": "APT::Install-Recommends \"1\";\n", "d~": "garbage {\n", "e.x.conf": "APT::Install-Recommends \"e\";\n"},
		{"a": "// x\n# y \"\n/* APT::Install-Recommends \"1\";\n*/ APT::Install-Recommends\n\"0\" ;\n"}, {"a": "APT::Install-Recommends \"0\"; // APT::Install-Recommends \"1\";\n"},
		{"a": "APT::Install-Recommends \"0\"; APT::Install-Recommends \"1\";\n"}, {"a": "DPkg::Post-Invoke {\"rm -f /x || true\";\"y\";};\nAPT::Install-Recommends \"0\";\n"}, {"a": "APT::A:: \"x\";\nAPT::Install-Recommends \"0\";\n"},
		{"a": "APT::Install-Recommends \"0\"\n"}, {"a": "APT::Install-Recommends \"0;\n"}, {"a": "APT {\nInstall-Recommends \"0\";\n"}, {"a": "}\nAPT::Install-Recommends \"0\";\n"}, {"a": "APT::Install-Recommends \"0\";\ngarbage\n"},
		{"a": "\"x\";\n"}, {"a": "APT::Install-Recommends 0 1;\n"}, {"a": "APT::Install-Recommends \"0\";\n#clear APT::Install-Recommends;\n"}, {"a": "APT::Install-Recommends \"0\";\n/* x\n"}, {"a": "APT::Install-Recommends \"a\nb\";\n"},
		{"a": "A::B::C \"x\";\nA::B { D \"y\"; }; APT { Install-Recommends { \"1\"; }; };\n"}, {"a": "APT::Install-Recommends;\n"}, {"a": "APT::Install-Recommends \"\";\n"}, {"a": "APT::Install-Recommends a\\b;\n"},
	} {
		root := t.TempDir()
		placed := map[string]string{"/etc/apt/apt.conf": "A \"b\";\n"}
		for name, text := range files {
			placed["/etc/apt/apt.conf.d/"+name] = text
		}
		for name, text := range placed {
			peertest.Write(t, root, name, text)
		}
		config := filepath.Join(root, "config")
		if err := os.WriteFile(config, []byte("Dir \""+root+"\";\nDir::Ignore-Files-Silently:: \"~$\";\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("apt-config", "shell", "X", "APT::Install-Recommends")
		cmd.Env = append(os.Environ(), "APT_CONFIG="+config)
		var said strings.Builder
		cmd.Stderr = &said
		out, _ := cmd.Output()
		refused := strings.Contains(said.String(), "E: ")
		list, err := newSetting(t, "path: /etc/apt/apt.conf, format: words, key: APT::Install-Recommends, value: "+unlikely).Check(t.Context(), memory(t, placed))
		if err != nil {
			continue // apt reads some of these to its end, and warns of none
		}
		want := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(out)), "X='"), "'")
		if got := strings.NewReplacer("set without a value", "", "not set", "1").Replace(list[0].Have); got != want || refused { // 1 is the default
			t.Errorf("%q: apt has %q, here it is %q: %s", files, want, got, &said)
		}
	}
}
