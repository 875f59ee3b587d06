/** What CHANGELOG.md says of a version; of the changes since the last release if the version has no section yet. */
export function releaseNotes(changelog: string, version: string): string {
  const found = sectionOf(changelog, version) ?? sectionOf(changelog, UNRELEASED);
  if (found === undefined) throw new Error(`CHANGELOG.md has no section \`${version}\` and none \`${UNRELEASED}\``);
  return `${found.trim()}\n`;
}

/** What is wrong with the notes of a version that has a section: changes that are in its files and not in its notes; `null` if there are none. */
export function notesProblem(changelog: string, version: string): string | null {
  if (sectionOf(changelog, version) === undefined) return null;
  const changes = sectionOf(changelog, UNRELEASED)?.match(/^- /gm)?.length ?? 0;
  return changes === 0
    ? null
    : `CHANGELOG.md has ${changes} ${changes === 1 ? 'change' : 'changes'} under \`${UNRELEASED}\`, which the files have and NOTES.md has not: move them to \`${version}\`, or raise the version`;
}

const UNRELEASED = 'Unreleased';

const sectionOf = (changelog: string, title: string): string | undefined =>
  changelog.split(/^(?=## )/m).find((section) => /^## (\S+)(?: - \d{4}-\d\d-\d\d)?\n/.exec(section)?.[1] === title);
