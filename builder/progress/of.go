package progress

// Of is a reporter of one of several runs beside one another: what it tells begins with
// what it is about, such as "acme-shop: ".
func Of(about string, r Reporter) Reporter { return of{about, r} }

type of struct {
	about string
	to    Reporter
}

func (o of) Start(name string, total int64, unit Unit) Task {
	return o.to.Start(o.about+": "+name, total, unit)
}

func (o of) Note(format string, args ...any) {
	o.to.Note("%s: "+format, append([]any{o.about}, args...)...)
}
