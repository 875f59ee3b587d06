import type { Answers } from './answers.ts';
import { SHIPPED_HOSTS } from './host-files.ts';
import { envoyId, remitId, sidecarId } from './identities.ts';
import { shellWord } from './written-text.ts';

/** The commands that register Remit, Envoy and the agent with SPIRE. */
export function registerScript(answers: Answers): string {
  const { agent, tools, issuer } = answers;
  const host = SHIPPED_HOSTS.get(answers.host);
  const hasEnvoyApart = host === undefined || host.isGateway;
  const entries = [
    { id: remitId(answers), dns: [new URL(issuer).hostname] },
    ...(hasEnvoyApart ? [{ id: envoyId(answers), dns: [tools] }] : []),
    // Without a gateway, agents call the Envoy of these pods.
    ...(host === undefined ? [] : [{ id: sidecarId(answers), dns: hasEnvoyApart ? [] : [tools] }]),
    { id: agent, dns: [] },
  ];
  const commands = entries.map(({ id, dns }) => {
    const words = [
      '"$server" entry create "$@"',
      `-parentID ${shellWord(answers.parent)}`,
      `-spiffeID ${shellWord(id)}`,
      ...selectorsOf(id, answers).map((selector) => `-selector ${shellWord(selector)}`),
      ...dns.map((name) => `-dns ${shellWord(name)}`),
    ];
    return `${words.join(' \\\n    ')} || status=1`;
  });
  return `#!/bin/sh
# Registers ${host === undefined ? 'Remit, Envoy' : 'the authority and the sidecars of the chart, the gateway if there is one,'} and the first agent with SPIRE.
# Arguments go to each \`spire-server entry create\`, such as -socketPath /run/spire/server.sock; SPIRE_SERVER names the program if it is not
# on the path. -dns are the names that clients call the issuer and Envoy by.
# An entry that is there already is an error of SPIRE; the others are made all the same.
set -u
status=0
server=\${SPIRE_SERVER:-spire-server}
${commands.join('\n')}
exit $status
`;
}

/** The given selector, else namespace and service account of the ID in a mesh, else the user of its last part. */
function selectorsOf(id: string, { selector, host }: Answers): readonly string[] {
  if (selector !== null) return [selector];
  const [, namespace, account] = /\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(id) ?? [];
  return host === 'envoy' || namespace === undefined
    ? [`unix:user:${id.split('/').at(-1) ?? ''}`]
    : [`k8s:ns:${namespace}`, `k8s:sa:${account ?? ''}`];
}
