package sbom

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"
)

// SPDXMediaType is the media type of what SPDX writes.
const SPDXMediaType = "application/spdx+json"

// noAssertion is SPDX's word for what is not known.
const noAssertion = "NOASSERTION"

// imageElement is the SPDX identifier of the image itself.
const imageElement common.ElementID = "Image"

// SPDX writes the inventory as SPDX 2.3 in JSON. The namespace is derived
// from everything else.
func (inv *Inventory) SPDX(w io.Writer) error {
	document := inv.document()
	unnamed, err := encodeSPDX(document)
	if err != nil {
		return fmt.Errorf("writing SPDX: %w", err)
	}
	document.DocumentNamespace = "urn:uuid:" + contentUUID(unnamed)
	named, err := encodeSPDX(document)
	if err != nil {
		return fmt.Errorf("writing SPDX: %w", err)
	}
	if _, err := w.Write(named); err != nil {
		return fmt.Errorf("writing SPDX: %w", err)
	}
	return nil
}

func encodeSPDX(document *spdx.Document) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (inv *Inventory) document() *spdx.Document {
	document := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: inv.Image.Name,
		CreationInfo: &spdx.CreationInfo{
			Created:  inv.date(),
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "imgbuild"}},
		},
		Packages: []*spdx.Package{{
			PackageName: inv.Image.Name, PackageSPDXIdentifier: imageElement, PackageVersion: inv.Image.ID,
			PackageDownloadLocation: noAssertion, PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion,
			PackageCopyrightText: noAssertion, PrimaryPackagePurpose: inv.Image.purpose(),
			PackageSupplier: &common.Supplier{Supplier: noAssertion},
		}},
		Relationships: []*spdx.Relationship{relation("DOCUMENT", common.TypeRelationshipDescribe, imageElement)},
	}
	refs := map[string]string{}
	for _, p := range inv.Packages {
		document.Packages = append(document.Packages, p.spdxPackage())
		document.Relationships = append(document.Relationships, relation(imageElement, common.TypeRelationshipContains, elementID(p.PURL)))
		for _, l := range p.Licenses {
			maps.Copy(refs, l.Refs)
		}
	}
	for _, p := range inv.Packages {
		for _, purl := range p.DependsOn {
			document.Relationships = append(document.Relationships, relation(elementID(p.PURL), common.TypeRelationshipDependsOn, elementID(purl)))
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(refs)) {
		document.OtherLicenses = append(document.OtherLicenses, &spdx.OtherLicense{
			LicenseIdentifier: ref, LicenseName: refs[ref],
			ExtractedText: "The text is in the copyright files of the packages that declare it.",
		})
	}
	return document
}

func (image Image) purpose() string {
	if image.Output == Disk {
		return "OPERATING-SYSTEM"
	}
	return "CONTAINER"
}

func (p Package) spdxPackage() *spdx.Package {
	out := &spdx.Package{
		PackageName: p.Name, PackageSPDXIdentifier: elementID(p.PURL), PackageVersion: p.Version,
		PackageFileName: p.File[strings.LastIndexByte(p.File, '/')+1:], PackageSupplier: &common.Supplier{Supplier: noAssertion},
		PackageDownloadLocation: noAssertion, PackageHomePage: p.Homepage, PackageSummary: p.Summary,
		PackageChecksums:        []common.Checksum{{Algorithm: common.SHA256, Value: p.SHA256}},
		PackageSourceInfo:       strings.TrimSpace("built package from: " + p.Source + " " + p.SourceVersion),
		PackageLicenseConcluded: noAssertion, PackageLicenseDeclared: noAssertion, PackageCopyrightText: noAssertion,
		PackageExternalReferences: []*spdx.PackageExternalReference{{
			Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: p.PURL,
		}},
		PrimaryPackagePurpose: "LIBRARY",
	}
	if name, address := splitMaintainer(p.Maintainer); name != "" {
		if address != "" {
			name += " (" + address + ")"
		}
		out.PackageSupplier = &common.Supplier{SupplierType: "Organization", Supplier: name}
	}
	if all := p.allLicenses(); all != "" {
		out.PackageLicenseDeclared = all
	}
	return out
}

// elementID makes an identifier of a purl, which has characters that SPDX
// identifiers cannot have.
func elementID(purl string) common.ElementID {
	sum := sha256.Sum256([]byte(purl))
	return common.ElementID("Package-" + hex.EncodeToString(sum[:12]))
}

func relation(from common.ElementID, kind string, to common.ElementID) *spdx.Relationship {
	return &spdx.Relationship{
		RefA: common.DocElementID{ElementRefID: from}, Relationship: kind, RefB: common.DocElementID{ElementRefID: to},
	}
}
