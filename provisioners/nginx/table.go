package nginx

import "strings"

// fact is what nginx's documentation says of a directive.
type fact struct {
	// value is what holds where the directive is not written; "" for nothing.
	value string
	// top is the outermost context the directive may stand in: "main", "events"
	// or "http", the default.
	top string
	// own is true of a directive that blocks below do not inherit.
	own bool
	// many is true of a directive that may stand several times in one block.
	many bool
	// unlimited is true when 0 means that there is no bound.
	unlimited bool
}

// facts are those of the directives that hardening is about. Source: the
// module pages of nginx.org/en/docs, "Syntax", "Default" and "Context"; where
// a default changed, the one that Debian 12's nginx 1.22 has. Directives that
// are not here are taken as inherited, without a default, and of http.
var facts = map[string]fact{
	"user":                        {top: "main", value: "nobody nobody"},
	"worker_processes":            {top: "main", value: "1"},
	"worker_rlimit_nofile":        {top: "main"},
	"pid":                         {top: "main", value: "/run/nginx.pid"},
	"daemon":                      {top: "main", value: "on"},
	"load_module":                 {top: "main", many: true, own: true},
	"env":                         {top: "main", many: true},
	"pcre_jit":                    {top: "main", value: "off"},
	"ssl_engine":                  {top: "main"},
	"error_log":                   {top: "main", value: "/var/log/nginx/error.log error", many: true},
	"worker_connections":          {top: "events", value: "512"},
	"multi_accept":                {top: "events", value: "off"},
	"server_tokens":               {value: "on"},
	"etag":                        {value: "on"},
	"autoindex":                   {value: "off"},
	"access_log":                  {value: "/var/log/nginx/access.log combined", many: true},
	"log_format":                  {many: true},
	"add_header":                  {many: true},
	"add_trailer":                 {many: true},
	"allow":                       {many: true},
	"deny":                        {many: true},
	"error_page":                  {many: true},
	"client_max_body_size":        {value: "1m", unlimited: true},
	"client_body_buffer_size":     {value: "16k"},
	"client_header_buffer_size":   {value: "1k"},
	"client_body_timeout":         {value: "60s"},
	"client_header_timeout":       {value: "60s"},
	"keepalive_timeout":           {value: "75s"},
	"keepalive_requests":          {value: "1000"},
	"send_timeout":                {value: "60s"},
	"reset_timedout_connection":   {value: "off"},
	"large_client_header_buffers": {value: "4 8k"},
	"limit_conn":                  {many: true},
	"limit_conn_zone":             {many: true, own: true},
	"limit_req":                   {many: true},
	"limit_req_zone":              {many: true, own: true},
	"limit_rate":                  {value: "0", unlimited: true},
	"disable_symlinks":            {value: "off"},
	"ignore_invalid_headers":      {value: "on"},
	"merge_slashes":               {value: "on"},
	"underscores_in_headers":      {value: "off"},
	"http2":                       {value: "off"},
	"proxy_hide_header":           {many: true},
	"proxy_pass_header":           {many: true},
	"proxy_set_header":            {many: true},
	"proxy_ssl_protocols":         {value: "TLSv1 TLSv1.1 TLSv1.2"},
	"proxy_ssl_ciphers":           {value: "DEFAULT"},
	"proxy_ssl_verify":            {value: "off"},
	"proxy_ssl_verify_depth":      {value: "1"},
	"fastcgi_hide_header":         {many: true},
	"fastcgi_param":               {many: true},
	"real_ip_header":              {value: "X-Real-IP"},
	"set_real_ip_from":            {many: true},
	"ssl_protocols":               {value: "TLSv1 TLSv1.1 TLSv1.2"},
	"ssl_ciphers":                 {value: "HIGH:!aNULL:!MD5"},
	"ssl_certificate":             {many: true},
	"ssl_certificate_key":         {many: true},
	"ssl_conf_command":            {many: true},
	"ssl_ecdh_curve":              {value: "auto"},
	"ssl_prefer_server_ciphers":   {value: "off"},
	"ssl_session_cache":           {value: "none"},
	"ssl_session_tickets":         {value: "on"},
	"ssl_session_timeout":         {value: "5m"},
	"ssl_stapling":                {value: "off"},
	"ssl_stapling_verify":         {value: "off"},
	"ssl_verify_client":           {value: "off"},
	"listen":                      {many: true, own: true},
	"server_name":                 {own: true},
	"location":                    {many: true, own: true},
	"limit_except":                {own: true},
	"if":                          {many: true, own: true},
	"return":                      {many: true, own: true},
	"rewrite":                     {many: true, own: true},
	"set":                         {many: true, own: true},
	"try_files":                   {own: true},
	"proxy_pass":                  {own: true},
	"alias":                       {own: true},
	"internal":                    {own: true},
	"stub_status":                 {own: true},
}

// factOf is what is known of a directive.
func factOf(name string) fact {
	f := facts[name]
	if f.top == "" {
		f.top = "http"
	}
	return f
}

// isFact tells whether a directive is one of the table.
func isFact(name string) bool {
	_, known := facts[name]
	return known
}

// duration tells whether a directive's numbers are times, not sizes.
func duration(name string) bool {
	return strings.HasSuffix(name, "_timeout") || strings.HasSuffix(name, "_time") || name == "expires"
}
