package seal

import _ "embed"

var (
	//go:embed firstboot/first-boot.sh
	firstBootScript []byte
	//go:embed firstboot/entrypoint.sh
	entryPointScript []byte
	//go:embed firstboot/imgbuild-first-boot.service
	firstBootUnit []byte
)
