package sbom

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// CycloneDXMediaType is the media type of what CycloneDX writes.
const CycloneDXMediaType = "application/vnd.cyclonedx+json"

// CycloneDX writes the inventory as CycloneDX 1.6 in JSON. The serial number
// is derived from everything else.
func (inv *Inventory) CycloneDX(w io.Writer) error {
	bom := inv.bom()
	unnumbered, err := encodeBOM(bom)
	if err != nil {
		return fmt.Errorf("writing CycloneDX: %w", err)
	}
	bom.SerialNumber = "urn:uuid:" + contentUUID(unnumbered)
	numbered, err := encodeBOM(bom)
	if err != nil {
		return fmt.Errorf("writing CycloneDX: %w", err)
	}
	if _, err := w.Write(numbered); err != nil {
		return fmt.Errorf("writing CycloneDX: %w", err)
	}
	return nil
}

func encodeBOM(bom *cyclonedx.BOM) ([]byte, error) {
	var out bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (inv *Inventory) bom() *cyclonedx.BOM {
	bom := cyclonedx.NewBOM()
	root := inv.Image.component()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: inv.date(),
		Component: &root,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{
			{Type: cyclonedx.ComponentTypeApplication, Name: "imgbuild"},
		}},
	}
	system := cyclonedx.Component{
		BOMRef: "os:" + inv.Image.Distribution, Type: cyclonedx.ComponentTypeOS,
		Name: inv.Image.Distribution, Version: inv.Image.DistributionVersion,
	}
	components := []cyclonedx.Component{system}
	all := []string{system.BOMRef}
	dependencies := []cyclonedx.Dependency{{Ref: root.BOMRef, Dependencies: &all}, {Ref: system.BOMRef}}
	for _, p := range inv.Packages {
		components = append(components, p.component())
		all = append(all, p.PURL)
		dependency := cyclonedx.Dependency{Ref: p.PURL}
		if len(p.DependsOn) > 0 {
			dependency.Dependencies = &p.DependsOn
		}
		dependencies = append(dependencies, dependency)
	}
	bom.Components, bom.Dependencies = &components, &dependencies
	bom.Compositions = &[]cyclonedx.Composition{{
		Aggregate:  cyclonedx.CompositionAggregateComplete,
		Assemblies: &[]cyclonedx.BOMReference{cyclonedx.BOMReference(root.BOMRef)},
	}}
	return bom
}

func (image Image) component() cyclonedx.Component {
	kind := cyclonedx.ComponentTypeContainer
	if image.Output == Disk {
		kind = cyclonedx.ComponentTypePlatform
	}
	return cyclonedx.Component{
		BOMRef: "image:" + image.ID, Type: kind, Name: image.Name, Version: image.ID,
		Properties: &[]cyclonedx.Property{{Name: "imgbuild:output", Value: string(image.Output)}},
	}
}

func (p Package) component() cyclonedx.Component {
	c := cyclonedx.Component{
		BOMRef: p.PURL, Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version,
		Description: p.Summary, PackageURL: p.PURL,
		Hashes: &[]cyclonedx.Hash{{Algorithm: cyclonedx.HashAlgoSHA256, Value: p.SHA256}},
	}
	if name, address := splitMaintainer(p.Maintainer); name != "" {
		c.Supplier = &cyclonedx.OrganizationalEntity{Name: name}
		if address != "" {
			c.Supplier.Contact = &[]cyclonedx.OrganizationalContact{{Email: address}}
		}
	}
	if p.Homepage != "" {
		c.ExternalReferences = &[]cyclonedx.ExternalReference{{Type: cyclonedx.ERTypeWebsite, URL: p.Homepage}}
	}
	if len(p.Licenses) > 0 {
		c.Licenses = p.cyclonedxLicenses()
	}
	properties := []cyclonedx.Property{}
	if p.Archive != "" {
		properties = append(properties, cyclonedx.Property{Name: "imgbuild:archive", Value: p.Archive})
	}
	properties = append(properties,
		cyclonedx.Property{Name: "imgbuild:file", Value: p.File},
		cyclonedx.Property{Name: "imgbuild:size", Value: strconv.FormatInt(p.Size, 10)},
		cyclonedx.Property{Name: "imgbuild:source", Value: p.Source},
		cyclonedx.Property{Name: "imgbuild:source-version", Value: p.SourceVersion},
	)
	c.Properties = &properties
	return c
}

// cyclonedxLicenses gives each declared licence on its own, since readers
// look for identifiers and names before they look at expressions; alternatives
// are only understood as an expression, of which the format allows one alone.
func (p Package) cyclonedxLicenses() *cyclonedx.Licenses {
	declared := cyclonedx.LicenseAcknowledgementDeclared
	for _, l := range p.Licenses {
		if strings.Contains(l.Expression, " ") {
			return &cyclonedx.Licenses{{Expression: p.allLicenses(), Acknowledgement: &declared}}
		}
	}
	var out cyclonedx.Licenses
	seen := map[string]bool{}
	for _, l := range p.Licenses {
		if seen[l.Expression] {
			continue
		}
		seen[l.Expression] = true
		license := &cyclonedx.License{Acknowledgement: declared}
		if name, ok := l.Refs[l.Expression]; ok {
			license.Name = name
		} else {
			license.ID = l.Expression
		}
		out = append(out, cyclonedx.LicenseChoice{License: license})
	}
	return &out
}

func (inv *Inventory) date() string {
	return time.Unix(inv.Epoch, 0).UTC().Format(time.RFC3339)
}

// splitMaintainer splits "Name <address>"; what is no address is left out.
func splitMaintainer(text string) (name, address string) {
	name, rest, ok := strings.Cut(text, "<")
	if ok {
		address, _, _ = strings.Cut(rest, ">")
	}
	if parsed, err := mail.ParseAddress(address); err != nil || parsed.Address != address {
		address = ""
	}
	return strings.Trim(name, " \""), address
}
