/** What CHANGELOG.md says of a version; of the changes since the last one where the version has no section yet. */
export function releaseNotes(changelog: string, version: string): string {
  const sections = changelog.split(/^(?=## )/m).filter((section) => section.startsWith('## '));
  const titled = (title: string): string | undefined =>
    sections.find((section) => /^## (\S+)(?: - \d{4}-\d\d-\d\d)?\n/.exec(section)?.[1] === title);
  const found = titled(version) ?? titled('Unreleased');
  if (found === undefined) throw new Error(`CHANGELOG.md has no section \`${version}\` and none \`Unreleased\``);
  return `${found.trim()}\n`;
}
