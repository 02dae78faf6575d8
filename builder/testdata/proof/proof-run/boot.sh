cat proof-run/boot-input > /etc/proof/boot-read
