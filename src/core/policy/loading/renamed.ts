/** Names that policies for earlier builds read, with their replacements. */
const renamed: ReadonlyMap<string, string> = new Map([
  [
    'taskContext',
    'read `context.attested` for what others vouch for, `context.attested.contains({name: "…", value: "…", by: "spiffe://…"})`, or `context.claimed` for the agent\'s own word, by which no policy should permit',
  ],
]);

/** The help for a Cedar message about a renamed name; `null` for any other message. */
export function helpForRenamed(message: string): string | null {
  for (const [name, help] of renamed) if (message.includes(`\`${name}\``)) return help;
  return null;
}
