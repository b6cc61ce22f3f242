// SPDX-License-Identifier: Apache-2.0

// Prints texts, and what Kubernetes' API server reads them as: an address, a range, or nothing ("-").
// Half of them are right, half are one or two slips away. The same in every run of one version:
//
//	cp go.mod addresses.go DIRECTORY && cd DIRECTORY && go run -mod=mod addresses.go > addresses
package main

import (
	"fmt"
	"math/rand"
	"strings"

	netutils "k8s.io/utils/net"
)

var right = []string{
	"0.0.0.0", "10.1.2.3", "192.168.0.1", "255.255.255.255", "127.0.0.1", "169.254.169.254",
	"010.001.002.003", "::", "::1", "fd00::1", "fe80::1", "2001:db8:0:0:1:0:0:1", "FD00::00A",
	"1:2:3:4:5:6:7:8", "::ffff:10.1.2.3", "::ffff:a01:203", "64:ff9b::10.1.2.3", "::10.1.2.3",
	"1:2:3:4:5:6:10.1.2.3", "1::", "::8", "1::8", "fe80::1%eth0", "ff02::1",
}

var lengths = []string{"0", "1", "8", "24", "32", "33", "48", "64", "128", "129", "024", "-1", "+8", " 8", "", "8/8", "255.0.0.0"}

const letters = "0123456789abcdefABCDEFg.:/%+- x"

func slip(random *rand.Rand, text string) string {
	at := random.Intn(len(text) + 1)
	letter := string(letters[random.Intn(len(letters))])
	switch random.Intn(3) {
	case 0:
		return text[:at] + letter + text[at:]
	case 1:
		if at < len(text) {
			return text[:at] + text[at+1:]
		}
		return text + letter
	default:
		if at < len(text) {
			return text[:at] + letter + text[at+1:]
		}
		return letter + text
	}
}

func address(text string) string {
	if ip := netutils.ParseIPSloppy(text); ip != nil {
		return ip.String()
	}
	return "-"
}

// A mapped range with fewer bits than its mapping is left out: podwire refuses it, on purpose.
func prefix(text string) string {
	ip, network, err := netutils.ParseCIDRSloppy(text)
	if err != nil {
		return "-"
	}
	ones, bits := network.Mask.Size()
	if bits == 128 && ip.To4() != nil {
		ones -= 96
	}
	return fmt.Sprintf("%s/%d", network.IP, ones)
}

func main() {
	random := rand.New(rand.NewSource(1))
	seen := map[string]bool{}
	say := func(text string, reading func(string) string) {
		if text == "" || seen[text] {
			return
		}
		seen[text] = true
		if read := reading(text); !strings.Contains(read, "/-") {
			fmt.Printf("%s\t%s\n", text, read)
		}
	}
	for _, text := range right {
		say(text, address)
		for i := 0; i < 20; i++ {
			once := slip(random, text)
			if !strings.Contains(once, "/") {
				say(once, address)
			}
			if twice := slip(random, once); !strings.Contains(twice, "/") {
				say(twice, address)
			}
		}
	}
	for _, text := range right {
		for _, length := range lengths {
			say(text+"/"+length, prefix)
			say(slip(random, text)+"/"+length, prefix)
		}
	}
}
