package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// faillockConf is the file of faillock.conf(5).
const faillockConf = "/etc/security/faillock.conf"

// faillockFlags are its keys that mean something by being there, faillockTimes
// those of seconds, faillockOthers the rest.
var (
	faillockFlags  = strings.Fields("audit silent no_log_info local_users_only nodelay even_deny_root")
	faillockTimes  = strings.Fields("fail_interval unlock_time root_unlock_time")
	faillockOthers = strings.Fields("dir deny admin_group")
)

// faillockLongest is the longest time that pam_faillock takes, a week, in
// seconds.
const faillockLongest = 604800

// faillock reads faillock.conf(5). pam_faillock logs a key that it does not
// know and a number that it cannot read, and goes on with what it had; a line
// that is too long makes it give up, or is skipped, by its version. None of
// them can be told from what was meant, so they are errors.
func faillock() moduleConf {
	return moduleConf{longest: 1022, flags: faillockFlags, refuses: func(key, value string) error {
		most := faillockLongest
		switch {
		case slices.Contains(faillockFlags, key), key == "admin_group":
			return nil
		case key == "dir":
			if !strings.HasPrefix(value, "/") {
				return fmt.Errorf("%s is no absolute path", key)
			}
			return nil
		case key == "deny":
			most = 65535
		case !slices.Contains(faillockTimes, key):
			return noSetting{"pam_faillock", slices.Concat(faillockFlags, faillockTimes, faillockOthers)}
		case key != "fail_interval" && value == "never":
			return nil
		}
		if n, err := strconv.Atoi(value); err != nil || n < 0 || n > most || strings.HasPrefix(value, "+") {
			return fmt.Errorf("%s is no number from 0 to %d", key, most)
		}
		return nil
	}}
}
