/** Names that policies of earlier builds read, with what has taken their place. */
const renamed: ReadonlyMap<string, string> = new Map([
  [
    'taskContext',
    'read `context.attested` for what others vouch for, `context.attested.contains({name: "…", value: "…", by: "spiffe://…"})`, or `context.claimed` for the agent\'s own word, by which no policy should permit',
  ],
]);

/** The way out where a message of Cedar is about a name that is no longer there; `null` where it is about none. */
export function helpForRenamed(message: string): string | null {
  for (const [name, help] of renamed) if (message.includes(`\`${name}\``)) return help;
  return null;
}
