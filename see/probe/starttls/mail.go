package starttls

import (
	"strings"

	"staunch/fault"
)

// smtp is RFC 3207; with LHLO it is LMTP (RFC 2033).
func smtp(greet string) talk {
	return func(c *conversation, _ Asked) error {
		if _, err := c.expect("the connection", "220"); err != nil {
			return err
		}
		if err := c.say("%s %s\r\n", greet, "staunch.invalid"); err != nil {
			return err
		}
		lines, err := c.expect(greet, "250")
		if err != nil {
			return err
		}
		if !offers(lines, 4, "STARTTLS") {
			return fault.New(fault.Unsupported, "STARTTLS is not offered")
		}
		if err := c.say("STARTTLS\r\n"); err != nil {
			return err
		}
		_, err = c.expect("STARTTLS", "220")
		return err
	}
}

// offers looks for a capability, which is the first word behind skip bytes of a line.
func offers(lines []string, skip int, word string) bool {
	for _, line := range lines {
		if len(line) > skip {
			first, _, _ := strings.Cut(line[skip:], " ")
			if strings.EqualFold(strings.Trim(first, "\""), word) {
				return true
			}
		}
	}
	return false
}

// imap is RFC 3501 section 6.2.1.
func imap(c *conversation, _ Asked) error {
	hello, err := c.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(hello, "* OK") {
		return refused("the connection", hello)
	}
	if err := c.say("a001 CAPABILITY\r\n"); err != nil {
		return err
	}
	lines, err := c.until(func(l string) bool { return strings.HasPrefix(l, "a001 ") })
	if err != nil {
		return err
	}
	if !anyWord(lines, "STARTTLS") {
		return fault.New(fault.Unsupported, "STARTTLS is not offered")
	}
	if err := c.say("a002 STARTTLS\r\n"); err != nil {
		return err
	}
	lines, err = c.until(func(l string) bool { return strings.HasPrefix(l, "a002 ") })
	if err != nil {
		return err
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "a002 OK") {
		return refused("STARTTLS", last)
	}
	return nil
}

func anyWord(lines []string, word string) bool {
	for _, line := range lines {
		for _, w := range strings.Fields(line) {
			if strings.EqualFold(w, word) {
				return true
			}
		}
	}
	return false
}

// pop3 is RFC 2595.
func pop3(c *conversation, _ Asked) error {
	hello, err := c.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(hello, "+OK") {
		return refused("the connection", hello)
	}
	if err := c.say("STLS\r\n"); err != nil {
		return err
	}
	answer, err := c.line()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(answer, "+OK") {
		return refused("STLS", answer)
	}
	return nil
}

// sieve is ManageSieve, RFC 5804 section 1.7.
func sieve(c *conversation, _ Asked) error {
	lines, err := c.until(sieveEnd)
	if err != nil {
		return err
	}
	if !offers(lines, 0, "STARTTLS") {
		return fault.New(fault.Unsupported, "STARTTLS is not offered")
	}
	if err := c.say("STARTTLS\r\n"); err != nil {
		return err
	}
	lines, err = c.until(sieveEnd)
	if err != nil {
		return err
	}
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "OK") {
		return refused("STARTTLS", last)
	}
	return nil
}

func sieveEnd(l string) bool {
	return strings.HasPrefix(l, "OK") || strings.HasPrefix(l, "NO") || strings.HasPrefix(l, "BYE")
}
