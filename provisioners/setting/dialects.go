package setting

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"imgbuild/provisioners/kernel"
)

// grammarOf tells how the program reads a file, by the format that a recipe
// gives it. A file whose program is not known here has no grammar: what would
// be read in it is a guess.
func grammarOf(format, name, key string) (grammar, error) {
	switch format {
	case "words":
		switch name {
		case loginDefs:
			return words{}, nil
		case chronyConf:
			return chrony{}, nil
		case aptMain:
			return aptConf{wanted: key}, nil
		case aideMain:
			return aideConf{wanted: key}, nil
		}
		return nil, fmt.Errorf(`"words" is how %s, %s, %s and %s are read; how %s is, is not known`, loginDefs, chronyConf, aptMain, aideMain, name)
	case "limits":
		if name == limitsConf {
			return limits{}, nil
		}
		return nil, fmt.Errorf(`"limits" is how %s is read; how %s is, is not known`, limitsConf, name)
	case "iptables":
		if g, known := iptablesFiles[name]; known {
			return g, nil
		}
		return nil, fmt.Errorf(`"iptables" is how %s are read; how %s is, is not known`, strings.Join(slices.Sorted(maps.Keys(iptablesFiles)), ", "), name)
	case "ini":
		switch {
		case strings.HasPrefix(name, "/etc/systemd/"):
			return ini{measure: measureOf(key)}, nil
		case name == gdmConf:
			return keyFile{}, nil
		}
		return nil, fmt.Errorf(`"ini" is how files of systemd and %s are read; how %s is, is not known`, gdmConf, name)
	}
	switch name {
	case faillockConf:
		return faillock(), nil
	case pwqualityConf:
		return pwquality(), nil
	case auditdConf:
		return auditd{}, nil
	case useraddDefaults:
		return useradd{}, nil
	case adduserConf, deluserConf:
		return adduser{}, nil
	case mainCf:
		return postfix{}, nil
	case ufwConf:
		return shell{wanted: key}, nil
	case kernel.MenuPath:
		return menu{wanted: key}, nil
	}
	if strings.HasPrefix(name, "/etc/default/") {
		return shell{wanted: key}, nil
	}
	return nil, fmt.Errorf(`"equals" is how files below /etc/default are read, and %s, %s, %s, %s, %s, %s, %s and %s; how %s is, is not known`,
		faillockConf, pwqualityConf, auditdConf, adduserConf, deluserConf, mainCf, ufwConf, kernel.MenuPath, name)
}

// ufwDefaults and ufwConf are the files of assignments that ufw's scripts take
// in, one after the other.
const ufwDefaults, ufwConf = "/etc/default/ufw", "/etc/ufw/ufw.conf"
