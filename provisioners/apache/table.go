package apache

import "strings"

// fact is what httpd's documentation says of a directive.
type fact struct {
	// value is what holds where the directive is not written; "" for nothing.
	value string
	// module is the one that knows the directive, "" for those built in.
	module string
	// idle is true where there is nothing to harden without the module.
	idle bool
	// many is true of a directive that may stand several times.
	many bool
	// own is true of a directive that virtual hosts do not inherit.
	own bool
	// dir is true of a directive that is about directories: what a longer path
	// does not say it inherits from a shorter one.
	dir bool
	// unlimited is true when 0 means that there is no bound.
	unlimited bool
}

// facts are those of the directives that hardening is about, by lower-case
// name. Source: "Directive Quick Reference" and the module pages of
// httpd.apache.org/docs/2.4. Directives that are not here are taken as
// inherited by virtual hosts, without a default, and built in.
var facts = map[string]fact{
	"servertokens":             {value: "Full"},
	"serversignature":          {value: "Off"},
	"traceenable":              {value: "on"},
	"fileetag":                 {value: "MTime Size"},
	"timeout":                  {value: "60", unlimited: true},
	"keepalive":                {value: "On"},
	"keepalivetimeout":         {value: "5", unlimited: true},
	"maxkeepaliverequests":     {value: "100", unlimited: true},
	"limitrequestline":         {value: "8190", unlimited: true},
	"limitrequestfields":       {value: "100", unlimited: true},
	"limitrequestfieldsize":    {value: "8190", unlimited: true},
	"limitrequestbody":         {value: "1073741824", unlimited: true},
	"loglevel":                 {value: "warn"},
	"hostnamelookups":          {value: "Off"},
	"httpprotocoloptions":      {value: "Strict LenientMethods Allow0.9"},
	"usecanonicalname":         {value: "Off"},
	"user":                     {value: "#-1"},
	"group":                    {value: "#-1"},
	"options":                  {value: "FollowSymLinks", dir: true},
	"allowoverride":            {value: "None", dir: true},
	"allowoverridelist":        {value: "None", dir: true},
	"require":                  {dir: true, many: true},
	"contentdigest":            {value: "Off"},
	"acceptpathinfo":           {value: "Default"},
	"listen":                   {many: true, own: true},
	"customlog":                {many: true},
	"logformat":                {many: true},
	"header":                   {module: "headers", many: true},
	"requestheader":            {module: "headers", many: true},
	"requestreadtimeout":       {module: "reqtimeout", value: "header=20-40,MinRate=500 body=20,MinRate=500"},
	"indexoptions":             {module: "autoindex", idle: true, many: true},
	"userdir":                  {module: "userdir", idle: true, many: true},
	"extendedstatus":           {module: "status", idle: true, value: "On"},
	"proxyrequests":            {module: "proxy", idle: true, value: "Off"},
	"proxyvia":                 {module: "proxy", idle: true, value: "Off"},
	"rewriteengine":            {module: "rewrite", value: "off", own: true},
	"rewriteoptions":           {module: "rewrite", own: true, many: true},
	"rewritecond":              {module: "rewrite", own: true, many: true},
	"rewriterule":              {module: "rewrite", own: true, many: true},
	"secruleengine":            {module: "security2", value: "Off"},
	"sslengine":                {module: "ssl", idle: true, value: "off"},
	"sslprotocol":              {module: "ssl", idle: true, value: "all -SSLv3"},
	"sslciphersuite":           {module: "ssl", idle: true, value: "DEFAULT"},
	"sslhonorcipherorder":      {module: "ssl", idle: true, value: "off"},
	"sslcompression":           {module: "ssl", idle: true, value: "off"},
	"sslinsecurerenegotiation": {module: "ssl", idle: true, value: "off"},
	"sslsessiontickets":        {module: "ssl", idle: true, value: "on"},
	"sslusestapling":           {module: "ssl", idle: true, value: "off"},
	"sslstaplingcache":         {module: "ssl", idle: true},
	"sslopensslconfcmd":        {module: "ssl", idle: true, many: true},
	"sslcertificatefile":       {module: "ssl", idle: true, many: true},
	"sslcertificatekeyfile":    {module: "ssl", idle: true, many: true},
	"sslproxyprotocol":         {module: "ssl", idle: true, value: "all -SSLv3"},
}

func factOf(name string) fact { return facts[strings.ToLower(name)] }
