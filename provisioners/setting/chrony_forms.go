package setting

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// The forms of a directive's arguments in chrony.conf(5), as regular
// expressions.
const (
	chronyInt    = `[0-9]{1,9}`
	chronySigned = `-?[0-9]{1,9}`
	chronyNumber = `[+-]?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?`
	chronyNet    = `((([01]?[0-9]?[0-9]|2[0-4][0-9]|25[0-5])(\.([01]?[0-9]?[0-9]|2[0-4][0-9]|25[0-5])){3})(/([0-9]|[12][0-9]|3[0-2]))?)`
	chronyPort   = `([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	chronySelect = `iburst|burst|prefer|require|trust|noselect|offline|auto_offline|xleave|nts`
	chronyOption = `(` + chronySelect + `|(minpoll|maxpoll|presend|minstratum|polltarget) ` + chronySigned + `|(minsamples|maxsamples) ` + chronyInt +
		`|maxsources [1-9][0-9]?|(key|certset) [1-9][0-9]{0,8}|(port|ntsport) ` + chronyPort + `|version [1-4]|(maxdelay|maxdelayratio|maxdelaydevratio|mindelay|asymmetry|offset) ` + chronyNumber + `)`
	chronyClock = `(prefer|require|trust|noselect|local|pps|tai|(poll|dpoll) ` + chronySigned + `|(filter|rate|maxlockage|minsamples|maxsamples|stratum) ` + chronyInt +
		`|(offset|delay|precision|maxdispersion|width) ` + chronyNumber + `|(refid|lock) [A-Z0-9]{1,4})`
	chronyRate = `((interval|burst|leak) -?[0-9]{1,2}( |$))*`
	chronyLogs = `(rawmeasurements|measurements|selection|statistics|tracking|rtc|refclocks|tempcomp)`
)

// chronyForms are the directives of chronyd whose arguments are known here, and
// the form of these. The rarer ones are left out, and with them a file that has
// one cannot be told.
var chronyForms = forms(map[string]string{
	``: `dumponexit lock_all manual noclientlog nosystemcert rtconutc rtcsync`,
	`[^ ]+`: `bindacqdevice bindcmddevice binddevice driftfile dumpdir hwclockfile include keyfile leapsectz leapseclist logdir ntpsigndsocket ntscachedir
		ntsdumpdir ntsntpserver pidfile rtcdevice rtcfile user ntsservercert ntsserverkey`,
	`/[^ ]*( /[^ ]*){0,9}`: `confdir sourcedir`,
	chronyNumber: `clockprecision combinelimit corrtimeratio hwtstimeout logchange maxclockerror maxdistance maxdrift maxjitter maxslewrate maxupdateskew
		reselectdist rtcautotrim stratumweight`,
	chronyInt:  `logbanner maxsamples minsamples nocerttimecheck ntsrefresh ntsrotate refresh clientloglimit`,
	chronyPort: `acquisitionport cmdport ntsport port ptpport`, `[1-9][0-9]{0,8}`: `minsources maxntsconnections`,
	`([0-9]|[1-5][0-9]|6[0-3])`: `dscp`, `([0-9]{1,2}|100)`: `sched_priority`, `([0-9]{1,3}|1000)`: `ntsprocesses`,
	`(all ?)?` + chronyNet + `?`: `allow deny cmdallow cmddeny`, `require|prefer|mix|ignore`: `authselectmode`, `system|step|slew|ignore`: `leapsecmode`,
	`[0-9A-Fa-f.:]+`: `bindacqaddress bindaddress`, `(/[^ ]*|[0-9A-Fa-f.:]+)`: `bindcmdaddress`, chronyLogs + `( ` + chronyLogs + `)*`: `log`,
	chronyNumber + ` ` + chronySigned: `makestep`, chronyNumber + ` ` + chronyInt + ` ` + chronySigned: `maxchange`, chronySigned + ` ` + chronySigned: `fallbackdrift`,
	`(stratum ([1-9]|1[0-5]))?( ?orphan)?`: `local`, chronyRate: `ratelimit cmdratelimit ntsratelimit`, `[^ ]+ ` + chronyNumber: `mailonchange`,
	`(` + chronyOption + `( ` + chronyOption + `)*)?`: `server pool peer`,
	`(PPS|SHM|SOCK|PHC) [^ ]+( ` + chronyClock + `)*`: `refclock`,
})

func forms(of map[string]string) map[string]*regexp.Regexp {
	out := map[string]*regexp.Regexp{}
	for form, directives := range of {
		whole := regexp.MustCompile(`^(` + form + `)$`)
		for _, one := range strings.Fields(directives) {
			out[one] = whole
		}
	}
	return out
}

func chronyDirectives() []string { return slices.Sorted(maps.Keys(chronyForms)) }
