package strictjson_test

import (
	"testing"

	"imgbuild/images/strictjson"
)

type entry struct {
	Name string `json:"name"`
}

func TestOnlyWholeDocumentsOfKnownNames(t *testing.T) {
	for document, good := range map[string]bool{
		`{"name":"web"}`:            true,
		" {\"name\":\"web\"}\n":     true,
		`{}`:                        true,
		`{"name":"web","size":1}`:   false,
		`{"name":"web"} 1`:          false,
		`{"name":"web"}}`:           false,
		`{"name":"web"}]`:           false,
		`{"name":"web"}garbage`:     false,
		`{"name":"web"}{"name":""}`: false,
		`{"name":"web"`:             false,
		``:                          false,
		`{"name":1}`:                false,
	} {
		var e entry
		if err := strictjson.Read([]byte(document), &e); (err == nil) != good {
			t.Errorf("%s: %v", document, err)
		}
	}
}
