package nginx

import (
	"slices"

	"imgbuild/images/fault"
	"imgbuild/provisioners/edit"
	"imgbuild/provisioners/service"
	"imgbuild/provisioners/system"
)

// withArgument are the options of nginx(8) that take one.
const withArgument = "ceghps"

// otherwise tells where nginx is started with another configuration than those
// that were read.
func (s *State) otherwise(files *edit.Draft, mains []string) ([]system.Difference, error) {
	if len(s.Main) > 0 {
		return nil, nil // it may be of a second one
	}
	ways, err := service.StartedBy(files, "nginx.service")
	if err != nil {
		return nil, err
	}
	var list []system.Difference
	for _, way := range ways {
		for _, f := range service.Flags(way.Words, withArgument) {
			if f.Letter == 'c' && !slices.Contains(mains, f.Argument) {
				list = append(list, system.Difference{Subject: way.File + ": ExecStart", Have: "nginx with the configuration " + f.Argument, Want: "with " + mains[0]})
			}
		}
	}
	return list, nil
}

// started refuses what no edit of a configuration changes.
func (s *State) started(files *edit.Draft) error {
	mains, err := s.mains(files)
	if err != nil {
		return err
	}
	list, err := s.otherwise(files, mains)
	if err != nil || len(list) == 0 {
		return err
	}
	return fault.Inputf("%s", list[0]).WithHint("take -c out of it")
}
