import type { Answers } from './answers.ts';
import { envoyId, remitId } from './identities.ts';
import { shellWord } from './written-text.ts';

/** The commands that register Remit, Envoy and the agent with SPIRE. */
export function registerScript(answers: Answers): string {
  const { agent, tools, issuer, selector } = answers;
  const agentUser = agent.split('/').at(-1) ?? '';
  const entries = [
    { id: remitId(answers), user: 'remit', dns: [new URL(issuer).hostname] },
    { id: envoyId(answers), user: 'envoy', dns: [tools] },
    { id: agent, user: agentUser, dns: [] },
  ];
  const commands = entries.map(({ id, user, dns }) =>
    [
      '"$server" entry create "$@"',
      `-parentID ${shellWord(answers.parent)}`,
      `-spiffeID ${shellWord(id)}`,
      `-selector ${shellWord(selector ?? `unix:user:${user}`)}`,
      ...dns.map((name) => `-dns ${shellWord(name)}`),
    ].join(' \\\n    '),
  );
  return `#!/bin/sh
# Registers Remit, Envoy and the first agent with SPIRE. Arguments go to each \`spire-server entry create\`, such as
# -socketPath /run/spire/server.sock; SPIRE_SERVER names the program where it is not on the path. -dns are the names that clients
# call the issuer and Envoy by.
set -eu
server=\${SPIRE_SERVER:-spire-server}
${commands.join('\n')}
`;
}
