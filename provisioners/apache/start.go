package apache

import (
	"slices"
	"strings"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// withArgument are the options of httpd(8) that take one.
const withArgument = "CcdDeEfk"

// otherwise tells where httpd is started with something that its configuration does
// not say.
func (s *State) otherwise(files *edit.Draft) ([]system.Difference, error) {
	if s.Main != "" {
		return nil, nil // it may be of a second one
	}
	ways, err := service.StartedBy(files, "apache2.service")
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, way := range ways {
		for _, f := range service.Flags(way.Words, withArgument) {
			known := f.Letter == 'f' && f.Argument == mainFile || f.Letter == 'd' && f.Argument == serverRoot || f.Letter == 'D' && slices.Contains(s.Define, f.Argument)
			if strings.IndexByte("CcdDf", f.Letter) >= 0 && !known {
				list = append(list, system.Difference{Subject: way.File + ": ExecStart", Have: "httpd with -" + string(f.Letter) + " " + f.Argument, Want: "without it"})
			}
		}
	}
	return list, nil
}

// started refuses what no edit of a configuration changes.
func (s *State) started(files *edit.Draft) error {
	list, err := s.otherwise(files)
	if err != nil || len(list) == 0 {
		return err
	}
	return fault.Inputf("%s", list[0]).WithHint("write it into the configuration, or into APACHE_ARGUMENTS in %s", envvars)
}
