package eol

import (
	"fmt"
	"math"
	"time"
)

// Level is how soon something has to be done.
type Level string

// The levels, from the one that needs somebody least.
const (
	// Supported is that there is time.
	Supported Level = "supported"
	// Notice is that a successor should be planned.
	Notice Level = "notice"
	// Warning is that it should be built.
	Warning Level = "warning"
	// Alarm is that servers have to be replaced now.
	Alarm Level = "alarm"
	// Unsupported is that it gets no security fixes any more.
	Unsupported Level = "unsupported"
	// Unknown is that nobody says until when it gets them. It is no better than
	// Warning.
	Unknown Level = "unknown"
)

// Ahead is how many days before the end each level begins.
type Ahead struct{ Notice, Warning, Alarm int }

// Default is a year, half a year and two months.
var Default = Ahead{Notice: 365, Warning: 180, Alarm: 60}

// Support is how a release stands on a day.
type Support struct {
	Level Level
	// Days are how many are left of the support that it has, without the day
	// itself: 0 on the last day. It is 0 too when Ends is zero.
	Days int
	// Ends is the last day of that support; zero when it has none or no day is
	// announced.
	Ends time.Time
	// Extended is that security support for all has ended, and some get it
	// still.
	Extended bool
	// Reason says it in words.
	Reason string
}

// Support says how a release stands at a time. Extended support alone is never
// better than Warning: it has to be paid for, or is not for all packages.
func (r *Release) Support(at time.Time, ahead Ahead) Support {
	today := at.UTC().Truncate(24 * time.Hour)
	name := r.Product + " " + r.Name
	switch {
	case !r.Security.Said:
		return Support{Level: Unknown, Reason: fmt.Sprintf("nothing is said of how long %s gets security fixes", name)}
	case !r.Security.after(today) && r.Security.On.IsZero():
		return Support{Level: Unknown, Reason: fmt.Sprintf("%s gets security fixes, and no end is announced", name)}
	case !r.Security.after(today):
		days := daysTo(today, r.Security.On)
		return Support{Level: ahead.level(days), Days: days, Ends: r.Security.On, Reason: fmt.Sprintf("%s gets security fixes until %s, %s", name, r.Security.On.Format(time.DateOnly), left(days))}
	}
	ended := fmt.Sprintf("security support of %s has ended", name)
	if !r.Security.On.IsZero() {
		ended += " on " + r.Security.On.Format(time.DateOnly)
	}
	by := "extended support"
	if r.ExtendedBy != "" {
		by += " (" + r.ExtendedBy + ")"
	}
	switch {
	case !r.Extended.Said:
		return Support{Level: Unsupported, Reason: ended}
	case r.Extended.after(today):
		if !r.Extended.On.IsZero() {
			by += " on " + r.Extended.On.Format(time.DateOnly)
		}
		return Support{Level: Unsupported, Reason: ended + ", and " + by + " as well"}
	case r.Extended.On.IsZero():
		return Support{Level: Warning, Extended: true, Reason: ended + "; there is " + by}
	}
	days := daysTo(today, r.Extended.On)
	level := ahead.level(days)
	if level == Supported || level == Notice {
		level = Warning
	}
	return Support{Level: level, Days: days, Ends: r.Extended.On, Extended: true, Reason: fmt.Sprintf("%s; there is %s until %s, %s", ended, by, r.Extended.On.Format(time.DateOnly), left(days))}
}

func daysTo(from, to time.Time) int { return int(math.Round(to.Sub(from).Hours() / 24)) }

func left(days int) string {
	switch days {
	case 0:
		return "which is today"
	case 1:
		return "which is tomorrow"
	}
	return fmt.Sprintf("which is in %d days", days)
}

func (a Ahead) level(days int) Level {
	switch {
	case days <= a.Alarm:
		return Alarm
	case days <= a.Warning:
		return Warning
	case days <= a.Notice:
		return Notice
	}
	return Supported
}
