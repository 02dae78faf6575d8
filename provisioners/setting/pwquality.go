package setting

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// pwqualityConf is the main file of pwquality.conf(5).
const pwqualityConf = "/etc/security/pwquality.conf"

// pwqualityNumbers are the keys of pwquality.conf(5) that hold one,
// pwqualityOthers the rest.
var (
	pwqualityNumbers = strings.Fields(`difok minlen dcredit ucredit lcredit ocredit minclass maxrepeat maxclassrepeat maxsequence gecoscheck
	dictcheck usercheck usersubstr enforcing retry`)
	pwqualityOthers = strings.Fields("badwords dictpath enforce_for_root local_users_only")
)

// pwquality reads pwquality.conf(5) as libpwquality does: keys know no case,
// and one that is not known, or without its number, takes all settings back.
func pwquality() moduleConf {
	return moduleConf{fold: true, refuses: func(key, value string) error {
		if slices.Contains(pwqualityNumbers, key) {
			if _, err := strconv.Atoi(value); err != nil {
				return fmt.Errorf("%s has no number, so that no setting counts", key)
			}
			return nil
		}
		if !slices.Contains(pwqualityOthers, key) {
			return noSetting{"pwquality", slices.Concat(pwqualityNumbers, pwqualityOthers)} // and none counts
		}
		return nil
	}}
}
