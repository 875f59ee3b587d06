import { isIP } from 'node:net';
import type { Answers, Endpoint } from './answers.ts';
import { remitId } from './identities.ts';
import { shellWord } from './written-text.ts';

/** The script of the agent's first call. It declares the intent, calls the tool server through Envoy with the token, and ends the task. */
export function firstCallScript(answers: Answers): string {
  const { tools, listen, issuer, workloadApi, agent } = answers;
  const url = `https://${tools}:${listen.port}/`;
  return `#!/bin/sh
# The first call of the agent: declares intent.yaml, calls the tool server through Envoy, and completes the task.
set -eu
cd "$(dirname "$0")"
# A Remit that was just started waits for its SVID.
seconds=0
until remit healthcheck --config remit.yaml >/dev/null 2>&1; do
  seconds=$((seconds + 1))
  [ $seconds -lt 60 ] || exec remit healthcheck --config remit.yaml
  sleep 1
done
exec remit run --intent intent.yaml --issuer ${shellWord(issuer)} --issuer-id ${shellWord(remitId(answers))} \\
    --workload-api ${shellWord(`unix:${workloadApi}`)} --svid-id ${shellWord(agent)} --svid-folder run/agent -- sh -c '
  printf "authorization: Bearer %s\\n" "$(remit token)" |
    curl --silent --show-error --fail-with-body --retry 5 --retry-connrefused --header @- --connect-to ::${atOf(listen)} \\
      --cert "$REMIT_SVID" --cacert "$REMIT_BUNDLE" ${url}'
`;
}

/** The address at which this machine reaches a listener. */
function atOf({ host, port }: Endpoint): string {
  if (isIP(host) === 6) return `[${host === '::' ? '::1' : host}]:${port}`;
  return `${host === '0.0.0.0' ? '127.0.0.1' : host}:${port}`;
}
