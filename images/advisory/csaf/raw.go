package csaf

import "github.com/go-json-experiment/json/jsontext"

// The part of the schema that is read
// (https://docs.oasis-open.org/csaf/csaf/v2.0/csaf_json_schema.json).
type rawDocument struct {
	Document struct {
		Category   string         `json:"category"`
		Version    string         `json:"csaf_version"`
		Title      string         `json:"title"`
		References []rawReference `json:"references"`
		Severity   struct {
			Text string `json:"text"`
		} `json:"aggregate_severity"`
		Tracking struct {
			ID       string `json:"id"`
			Status   string `json:"status"`
			Released string `json:"initial_release_date"`
			Revised  string `json:"current_release_date"`
		} `json:"tracking"`
	} `json:"document"`
	Tree struct {
		Branches      []rawBranch       `json:"branches"`
		Products      []rawProduct      `json:"full_product_names"`
		Groups        []rawGroup        `json:"product_groups"`
		Relationships []rawRelationship `json:"relationships"`
	} `json:"product_tree"`
	Vulnerabilities []rawVulnerability `json:"vulnerabilities"`
}

type rawReference struct {
	Category string `json:"category"`
	URL      string `json:"url"`
}

type rawBranch struct {
	Branches []rawBranch `json:"branches"`
	Product  *rawProduct `json:"product"`
}

type rawProduct struct {
	ID     string `json:"product_id"`
	Name   string `json:"name"`
	Helper struct {
		CPE  string `json:"cpe"`
		PURL string `json:"purl"`
	} `json:"product_identification_helper"`
}

type rawGroup struct {
	ID       string   `json:"group_id"`
	Products []string `json:"product_ids"`
}

type rawRelationship struct {
	Product   rawProduct `json:"full_product_name"`
	Component string     `json:"product_reference"`
	Platform  string     `json:"relates_to_product_reference"`
}

type rawVulnerability struct {
	CVE string `json:"cve"`
	IDs []struct {
		Text string `json:"text"`
	} `json:"ids"`
	Title        string              `json:"title"`
	Released     string              `json:"release_date"`
	References   []rawReference      `json:"references"`
	Status       map[string][]string `json:"product_status"`
	Remediations []rawSaying         `json:"remediations"`
	Flags        []rawSaying         `json:"flags"`
	Threats      []rawSaying         `json:"threats"`
	Scores       []rawScore          `json:"scores"`
}

// rawSaying is a remediation, a flag or a threat.
type rawSaying struct {
	Category string   `json:"category"`
	Label    string   `json:"label"`
	Details  string   `json:"details"`
	Products []string `json:"product_ids"`
	Groups   []string `json:"group_ids"`
}

type rawScore struct {
	Products []string       `json:"products"`
	V3       jsontext.Value `json:"cvss_v3"`
	V2       jsontext.Value `json:"cvss_v2"`
}
