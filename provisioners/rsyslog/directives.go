package rsyslog

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// core are the directives of the old form that rsyslogd itself knows, in small
// letters (rsyslog 8.2302, and its manual's chapter on legacy directives).
const core = `
	abortonuncleanconfig actionexeconlyeverynthtime actionexeconlyeverynthtimetimeout actionexeconlyonceeveryinterval
	actionexeconlywhenpreviousissuspended actionfiledefaulttemplate actionfileenablesync actionforwarddefaulttemplate actionname
	actionqueuecheckpointinterval actionqueuedequeuebatchsize actionqueuedequeueslowdown actionqueuedequeuetimebegin actionqueuedequeuetimeend
	actionqueuediscardmark actionqueuediscardseverity actionqueuefilename actionqueuehighwatermark actionqueuelowwatermark actionqueuemaxdiskspace
	actionqueuemaxfilesize actionqueuesaveonshutdown actionqueuesize actionqueuesyncqueuefiles actionqueuetimeoutactioncompletion
	actionqueuetimeoutenqueue actionqueuetimeoutshutdown actionqueuetype actionqueueworkerthreadminimummessages actionqueueworkerthreads
	actionqueueworkertimeoutthreadshutdown actionresumeinterval actionresumeretrycount actionsendresendlastmsgonreconnect actionsendstreamdriver
	actionsendstreamdriverauthmode actionsendstreamdrivermode actionsendstreamdriverpermittedpeer actionsendtcpkeepalive actionsendtcprebindinterval
	actionsendudprebindinterval actionwriteallmarkmessages allowedsender controlcharacterescapeprefix debugfile debuglevel debugprintcfsyslinehandlerlist
	debugprintmodulelist debugprinttemplatelist defaultnetstreamdriver defaultnetstreamdrivercafile defaultnetstreamdrivercertfile
	defaultnetstreamdriverkeyfile defaultruleset dircreatemode dirgroup dirgroupnum dirowner dirownernum dropmsgswithmaliciousdnsptrrecords
	droptrailinglfonreception dynafilecachesize errormessagestostderr escape8bitcharactersonreceive escapecontrolcharactersonreceive
	escapecontrolcharactertab failonchownfailure filecreatemode filegroup filegroupnum fileowner fileownernum generateconfiggraph localhostipif
	localhostname logrsyslogstatusmessages mainmsgqueuecheckpointinterval mainmsgqueuedequeuebatchsize mainmsgqueuedequeueslowdown
	mainmsgqueuedequeuetimebegin mainmsgqueuedequeuetimeend mainmsgqueuediscardmark mainmsgqueuediscardseverity mainmsgqueuefilename
	mainmsgqueuehighwatermark mainmsgqueuelowwatermark mainmsgqueuemaxdiskspace mainmsgqueuemaxfilesize mainmsgqueuesaveonshutdown mainmsgqueuesize
	mainmsgqueuesyncqueuefiles mainmsgqueuetimeoutactioncompletion mainmsgqueuetimeoutenqueue mainmsgqueuetimeoutshutdown mainmsgqueuetype
	mainmsgqueueworkerthreadminimummessages mainmsgqueueworkerthreads mainmsgqueueworkertimeoutthreadshutdown maxmessagesize maxopenfiles moddir modload
	netstreamdrivercaextrafiles omfileasyncwriting omfileflushinterval omfileflushontxend omfileforcechown omfileiobuffersize omfileziplevel
	optimizeforuniprocessor outchannel preservefqdn privdroptogroup privdroptogroupid privdroptouser privdroptouserid processinternalmessages
	repeatedmsgcontainsoriginalmsg repeatedmsgreduction resetconfigvariables ruleset rulesetcreatemainqueue rulesetparser sleep spacelfonreceive template
	umask workdirectory
`

// ofModules are how the directives of modules begin. A module that is not here may
// have any.
var ofModules = map[string][]string{
	"imfile": {"inputfile", "inputrunfilemonitor"}, "imjournal": {"imjournal"}, "imklog": {"klog", "debugprintkernelsymbols"},
	"imkmsg": {"klog", "debugprintkernelsymbols"}, "immark": {"markmessageperiod"}, "impstats": {"pstat"}, "imptcp": {"inputptcp"},
	"imrelp": {"inputrelp"}, "imtcp": {"inputtcp"}, "imudp": {"udpserver", "imudp", "inputudp"}, "imgssapi": {"inputgss"}, "im3195": {"input3195"},
	"imuxsock": {"systemlog", "inputunix", "addunix", "omitlocallogging", "imuxsock"}, "ommail": {"actionmail"}, "omprog": {"actionomprog"},
	"omuxsock": {"omuxsock"}, "omgssapi": {"gss", "actiongss"}, "ommysql": {"actionommysql", "ommysql"}, "omsnmp": {"actionsnmp"},
	"mmnormalize": {"mmnormalize"}, "omrelp": {}, "omelasticsearch": {}, "ompgsql": {}, "omjournal": {}, "mmanon": {}, "mmjsonparse": {},
	"mmsequence": {}, "mmutf8fix": {}, "mmfields": {}, "mmexternal": {}, "mmpstrucdata": {}, "mmrm1stspace": {}, "omfile": {}, "omfwd": {},
	"ompipe": {}, "omusrmsg": {}, "omdiscard": {}, "omshell": {}, "pmlastmsg": {},
}

// module is a module's name without what it may be written with.
func module(name string) string {
	name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "builtin:")
	return strings.TrimSuffix(path.Base(name), ".so")
}

// loads is the module that a statement loads, "" for none.
func (s statement) loads() string {
	switch {
	case s.kind == directive && s.name == "modload":
		return module(s.text)
	case s.kind == object && s.name == "module":
		p, _ := s.get("load")
		return module(p.value)
	}
	return ""
}

// builtIn are the modules of rsyslogd itself that an action may name.
var builtIn = []string{"omfile", "omusrmsg"}

// known tells whether rsyslogd knows all directives, and all modules of actions of
// the old form, each with the modules that are loaded before it. One that it does
// not know it leaves out, and says so in a log that nobody reads. It leaves out an
// action() of omfile without a file, too.
func known(list []statement) error {
	own := strings.Fields(core)
	var begins []string
	anything, seen := false, map[string]bool{}
	for _, s := range list {
		if name := s.loads(); name != "" && !seen[name] {
			seen[name] = true
			prefixes, ok := ofModules[name]
			begins, anything = append(begins, prefixes...), anything || !ok
		}
		switch s.kind {
		case directive:
			if !anything && !slices.Contains(own, s.name) && !slices.ContainsFunc(begins, func(prefix string) bool { return strings.HasPrefix(s.name, prefix) }) {
				return fmt.Errorf("%s: rsyslogd knows no directive $%s, or the module is not loaded that does", s.where(), s.name)
			}
		case action:
			if name := s.by(); name != "" && !seen[module(name)] && !slices.Contains(builtIn, name) {
				return fmt.Errorf("%s: an action is of a module that is not loaded", s.where())
			}
		case object:
			kind, _ := s.get("type")
			_, file := s.get("file")
			_, made := s.get("dynafile")
			if _, loads := s.get("load"); s.name == "module" && !loads {
				return fmt.Errorf("%s: module() does not say which to load", s.where())
			}
			if s.name == "action" && module(kind.value) == "omfile" && !kind.computed && !file && !made {
				return fmt.Errorf("%s: an action of omfile has neither a file nor a dynaFile", s.where())
			}
		}
	}
	return nil
}

// by is the module that an action of the old form is of, as it is written: in
// :omNAME:, or ommysql for >; "" where it is one of rsyslogd's own.
func (s statement) by() string {
	if rest, ok := strings.CutPrefix(s.text, ":"); ok {
		name, _, _ := strings.Cut(rest, ":")
		return name
	}
	if strings.HasPrefix(s.text, ">") {
		return "ommysql"
	}
	return ""
}
