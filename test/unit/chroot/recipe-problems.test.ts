import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseRecipe } from '../../../src/chroot/recipe.ts';
import { SettingsError } from '../../../src/errors.ts';

const dir = join(import.meta.dirname, '../../fixtures/bad-recipes');
const ALL = 'all-at-once.yaml';
const HINT = 'Correct it; docs/recipes.md has every key.';
const YAML_HINT = 'Correct the YAML there; indentation is spaces, and every key stands once.';

function errorOf(file: string): SettingsError {
  try {
    parseRecipe(basename(file, '.yaml'), file, readFileSync(join(dir, file), 'utf8'));
  } catch (error) {
    if (error instanceof SettingsError) return error;
    throw error;
  }
  return expect.fail(`${file} is good`);
}

/** What each file of one fault is told: the line, the key, what is expected and what is there. */
const SENTENCES: Readonly<Record<string, string>> = {
  'a-list':
    'expected a map with one of debian, ubuntu, fedora, tar, oci and extends (a playbook is named below "playbook"), got a list.',
  'a-playbook':
    'expected a map with one of debian, ubuntu, fedora, tar, oci and extends (a playbook is named below "playbook"), got a list.',
  'apt-option-without-value':
    'line 4, debian.apt_options[0]: expected an option of apt.conf(5), such as Acquire::Retries "3", got "Acquire::Retries".',
  'bind-of-a-map':
    'line 4, machine.binds[0]: expected HOST:MACHINE or HOST:MACHINE:ro, two absolute paths, got a map.',
  'bind-without-target':
    'line 4, machine.binds[0]: expected HOST:MACHINE or HOST:MACHINE:ro, two absolute paths, got "/srv/models".',
  'boot-timeout-too-long':
    'line 3, machine.boot_timeout: expected a duration such as 60s, at most 1h, got "2h".',
  'check-as-text':
    'line 2, check: expected a list, each item a text: lines for the shell that jobs get, got "node --version".',
  'checksum-too-short':
    'line 3, tar.sha256: expected 64 hexadecimal digits, got "d41d8cd98f00b204e9800998ecf8427e".',
  'components-as-text':
    'line 3, debian.components: expected a list, each item a component such as main, got "main contrib".',
  'duplicate-key': 'line 5, column 1: the key "packages" stands here again.',
  empty: 'expected one of debian, ubuntu, fedora, tar, oci, extends, got none.',
  'enable-what-is-masked': 'line 3, enable[0]: "nginx.service" is also under mask.',
  'enable-without-suffix':
    'line 2, enable[0]: expected a unit with its suffix, such as nginx.service, got "nginx".',
  'environment-as-list': 'line 2, environment: expected a map of names to texts, got a list.',
  'environment-name':
    'line 3, environment.node-env: expected a name of letters, digits and "_" before the colon.',
  'environment-number':
    'line 3, environment.NODE_MAJOR: expected a quoted text of one line, got 22.',
  'environment-yes': 'line 3, environment.CI: expected a quoted text of one line, got true.',
  'extends-a-file': 'line 1, extends: expected the name of a recipe, got "./debian-12.yaml".',
  'extends-itself': 'line 1, extends: expected another recipe, got this one.',
  'extra-sources-one-line':
    'line 3, debian.extra_sources: expected "Types:" and "URIs:" and "Suites:" in paragraph 1, got the form of one line.',
  'extra-sources-without-suites':
    'line 3, debian.extra_sources: expected "Suites:" in paragraph 1.',
  'file-content-and-source': 'line 3, files[0]: expected content or source, got both.',
  'file-content-is-a-map': 'line 4, files[0].content: expected a text, got a map.',
  'file-leaves-the-tree':
    'line 3, files[0].path: expected an absolute path without "." and "..", got "/srv/../../etc/shadow".',
  'file-mode-octal': 'line 5, files[0].mode: expected a quoted octal mode such as "0644", got 755.',
  'file-mode-symbolic':
    'line 5, files[0].mode: expected a quoted octal mode such as "0644", got "u+x".',
  'file-relative':
    'line 3, files[0].path: expected an absolute path without "." and "..", got "etc/motd".',
  'file-twice': 'line 7, files[2].path: "/etc/motd" stands here twice.',
  'file-without-content': 'line 3, files[0]: expected content or source, got neither.',
  'files-as-map': 'line 2, files: expected a list of files, got a map.',
  indentation:
    'line 3, column 14: bad indentation, or a text that needs quotes for its ": " or its first character.',
  'keep-as-text': 'line 2, keep: expected a whole number from 0 to 100, got "all".',
  'keep-negative': 'line 2, keep: expected a whole number from 0 to 100, got -1.',
  'key-one-level-up': 'line 2, suite: unknown key; did you mean "debian.suite"?',
  'keyring-relative':
    'line 3, debian.keyring: expected an absolute path without "." and "..", got "keys/mirror.gpg".',
  'keyring-without-signature':
    'line 1, tar.signature: expected a signature that this keyring checks, got nothing.',
  'mask-a-path':
    'line 3, mask[0]: expected a unit, a TARGET.wants/UNIT or a system-generators/NAME, got "/etc/systemd/system/apt-daily.timer".',
  'mask-without-suffix':
    'line 2, mask[0]: expected a unit, a TARGET.wants/UNIT or a system-generators/NAME, got "fstrim".',
  'memory-in-words':
    'line 4, machine.limits.memory_max: expected a size such as 4G or a percentage such as 40%, got "plenty".',
  'memory-of-zero':
    'line 4, machine.limits.memory_max: expected a size such as 4G or a percentage such as 40%, got 0.',
  'mirror-without-scheme':
    'line 3, debian.mirror: expected a URL such as http://deb.debian.org/debian, got "deb.debian.org/debian".',
  'missing-colon': 'line 4, column 1: a key without its colon, in the line above.',
  'network-unknown': 'line 3, machine.network: expected "host" or "none", got "bridge".',
  'no-source': 'expected one of debian, ubuntu, fedora, tar, oci, extends, got none.',
  'nesting-in-the-host-network':
    'line 4, machine.network: expected "none" beside the profile "nesting", whose containers could change this host\'s firewall, got "host".',
  'nspawn-option-ours':
    'line 5, machine.nspawn_options[1]: expected an option of systemd-nspawn(1) that nspawn-runner does not set itself, such as --capability=CAP_SYS_PTRACE, got "--boot".',
  'nspawn-option-short':
    'line 3, machine.nspawn_options[0]: expected an option of systemd-nspawn(1) that nspawn-runner does not set itself, such as --capability=CAP_SYS_PTRACE, got "-b".',
  'nspawn-option-two-words':
    'line 4, machine.nspawn_options[0]: expected an option of systemd-nspawn(1) that nspawn-runner does not set itself, such as --capability=CAP_SYS_PTRACE, got "--bind /srv/models".',
  'oci-digest-without-sha256':
    'line 3, oci.digest: expected "sha256:" and 64 hexadecimal digits, got "5f5f1c1b1f4a8b8f3e0d3b0f9f7a4f5c6d7e8f90123456789abcdef0123….',
  'oci-from-a-daemon':
    'line 2, oci.image: expected an image such as debian:bookworm or oci:/srv/layout:tag, got "docker-daemon:debian:bookworm".',
  'oci-path-with-blank':
    'line 2, oci.image: expected an image such as debian:bookworm or oci:/srv/layout:tag, got "oci:/srv/my layout:latest".',
  'only-comments': 'expected one of debian, ubuntu, fedora, tar, oci, extends, got none.',
  'package-is-an-option': 'line 4, packages[1]: expected the name of a package, got "--reinstall".',
  'package-with-blank': 'line 3, packages[0]: expected the name of a package, got "git >= 2.39".',
  'packages-as-map':
    'line 2, packages: expected a list, each item the name of a package, got a map.',
  'packages-as-text':
    'line 2, packages: expected a list, each item the name of a package, got "git nginx-light".',
  'percent-in-plain-text':
    'line 4, column 11: bad indentation, or a text that needs quotes for its ": " or its first character.',
  'playbook-variables-alone':
    'line 2, playbook_variables: expected a playbook that they are for, got nothing.',
  'release-is-a-number': 'line 2, fedora.release: expected a quoted release such as "42", got 42.',
  'repository-twice': 'line 7, fedora.repositories[1].id: "mirror" stands here twice.',
  'repository-without-key':
    'line 4, fedora.repositories[0].gpgkey: expected the key of its packages, or "none" to install them unchecked.',
  'repository-without-place':
    'line 4, fedora.repositories[0]: expected either baseurl or metalink.',
  'script-as-text':
    'line 2, script: expected a list, each item a text: lines for /bin/sh, or a script with its "#!" line, got "npm install --global pnpm\\n".',
  'script-step-as-map':
    'line 3, script[0]: expected a text: lines for /bin/sh, or a script with its "#!" line, in quotes or below "- |" if it has a ": " in it, got a map.',
  'script-step-colon':
    'line 3, script[0]: expected a text: lines for /bin/sh, or a script with its "#!" line, in quotes or below "- |" if it has a ": " in it, got a map.',
  'script-step-empty':
    'line 3, script[0]: expected a text: lines for /bin/sh, or a script with its "#!" line, got "".',
  'security-mirror-false':
    'line 3, debian.security_mirror: expected a URL such as http://deb.debian.org/debian-security, or "none", got false.',
  'signature-without-keyring':
    'line 1, tar.keyring: expected the keyring that the signature is checked with, got nothing.',
  'source-without-map': 'line 1, debian: expected a map with at least a suite, got "bookworm".',
  'source-without-value': 'line 1, debian: expected a map with at least a suite, got nothing.',
  'strip-too-many': 'line 3, tar.strip_components: expected a whole number from 0 to 9, got 10.',
  'suite-is-a-path':
    'line 2, debian.suite: expected the name of a suite, such as bookworm, got "bookworm/updates".',
  'suite-missing':
    'line 1, debian.suite: expected the name of a suite, such as bookworm, got nothing.',
  tab: 'line 2, column 1: tab characters must not be used in indentation.',
  'two-documents': 'expected a single document in the stream, but found more.',
  'two-sources': 'line 4, extends: expected one source, got "extends" beside "debian".',
  'unclosed-quote': 'line 5, column 1: unexpected end of the stream within a double quoted scalar.',
  'unknown-key-deep':
    'line 4, machine.limits.memory: unknown key; the keys here are memory_max, memory_high, cpu_weight, cpu_quota, tasks_max.',
  'unknown-key-far':
    'line 4, template: unknown key; the keys here are description, debian, ubuntu, fedora, tar, oci, extends, packages, user, files, script, playbook, playbook_variables, environment, mask, enable, machine, check, update, keep.',
  'unknown-key-in-list':
    'line 7, files[1].owner: unknown key; the keys here are path, content, source, mode.',
  'unknown-key-nested': 'line 2, debian.suit: unknown key; did you mean "suite"?',
  'unknown-key': 'line 4, pakages: unknown key; did you mean "packages"?',
  'unknown-tool':
    'line 3, ubuntu.tool: expected "auto", "mmdebstrap" or "debootstrap", got "multistrap".',
  'update-refresh-without-packages':
    'line 3, update: expected "rebuild" for a tree from "oci" without packages.',
  'update-unknown': 'line 2, update: expected "rebuild" or "refresh", got "weekly".',
  'url-without-checksum':
    'line 2, tar.location: expected a sha256, or a signature and its keyring, beside a URL.',
  'user-as-text': 'line 2, user: expected a map with a name, got "ci".',
  'user-is-root': 'line 4, user.uid: expected a whole number from 1 to 65533, got 0.',
  'user-upper-case': 'line 3, user.name: expected the name of a user, got "CI".',
};

describe('a recipe with one fault', () => {
  it.each(Object.entries(SENTENCES))('%s', (name, sentence) => {
    const file = `${name}.yaml`;
    const { message, details, hint } = errorOf(file);
    expect(message).toBe(`${file}${sentence.startsWith('line') ? ' ' : ': '}${sentence}`);
    expect(details).toEqual([]);
    expect([HINT, YAML_HINT]).toContain(hint);
  });

  it('has its sentence here', () => {
    const files = readdirSync(dir).filter((file) => file !== ALL);
    expect(files.map((file) => basename(file, '.yaml')).sort()).toEqual(
      Object.keys(SENTENCES).sort(),
    );
  });
});

describe('a recipe with many faults', () => {
  it('is told them all at once, in the order of their lines', () => {
    const { message, details, hint } = errorOf(ALL);
    const sentences = details.map((line) => line.replace(`${ALL} `, ''));
    expect(message).toBe(`${ALL} has ${sentences.length} problems.`);
    expect(hint).toBe(HINT);
    expect(sentences).toEqual([
      'line 3, debian.suite: expected the name of a suite, such as bookworm, got "Bookworm".',
      'line 4, debian.mirror: expected a URL such as http://deb.debian.org/debian, got "deb.debian.org".',
      'line 5, debian.security-mirror: unknown key; did you mean "security_mirror"?',
      'line 6, debian.components: expected a list, each item a component such as main, got "main".',
      'line 7, oci: expected one source, got "oci" beside "debian".',
      'line 8, oci.image: expected an image such as debian:bookworm or oci:/srv/layout:tag, got "debian bookworm".',
      'line 9, packages[1]: expected the name of a package, got "nginx light".',
      'line 10, user.uid: expected a whole number from 1 to 65533, got 0.',
      'line 10, user.group: unknown key; did you mean "groups"?',
      'line 12, files[0].path: expected an absolute path without "." and "..", got "etc/motd".',
      'line 12, files[0]: expected content or source, got neither.',
      'line 13, files[0].mode: expected a quoted octal mode such as "0644", got 644.',
      'line 14, files[1]: expected content or source, got both.',
      'line 16, script[0]: expected a text: lines for /bin/sh, or a script with its "#!" line, in quotes or below "- |" if it has a ": " in it, got a map.',
      'line 17, environment.MAJOR: expected a quoted text of one line, got 22.',
      'line 17, environment.NODE-ENV: expected a name of letters, digits and "_" before the colon.',
      'line 18, mask[0]: expected a unit, a TARGET.wants/UNIT or a system-generators/NAME, got "fstrim".',
      'line 19, enable[1]: expected a unit with its suffix, such as nginx.service, got "nginx".',
      'line 19, enable[0]: "nginx.service" is also under mask.',
      'line 21, machine.limits.memory_max: expected a size such as 4G or a percentage such as 40%, got "lots".',
      'line 21, machine.limits.cpu: unknown key; the keys here are memory_max, memory_high, cpu_weight, cpu_quota, tasks_max.',
      'line 22, machine.binds[0]: expected HOST:MACHINE or HOST:MACHINE:ro, two absolute paths, got "/srv/models".',
      'line 23, machine.nspawn_options[0]: expected an option of systemd-nspawn(1) that nspawn-runner does not set itself, such as --capability=CAP_SYS_PTRACE, got "--boot".',
      'line 24, playbook_variables: expected a playbook that they are for, got nothing.',
      'line 25, update: expected "rebuild" or "refresh", got "sometimes".',
      'line 26, keep: expected a whole number from 0 to 100, got 1000.',
    ]);
  });
});
