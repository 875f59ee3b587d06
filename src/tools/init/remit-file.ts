import { join } from 'node:path';
import { isLoopback } from '../../core/runtime/loopback-host.ts';
import { issuerPortOf, type Answers } from './answers.ts';
import { SHIPPED_HOSTS } from './host-files.ts';
import { remitId } from './identities.ts';
import { yamlText } from './written-text.ts';

const head = `# Written by \`remit init\`. Every key: remit help reference/configuration
# Check it after a change: remit serve --check --config remit.yaml
`;

/** The configuration of `remit serve` for these answers: with its sockets and state in the folder, or in the places of a pod. */
export function remitFile(answers: Answers): string {
  const host = SHIPPED_HOSTS.get(answers.host);
  const extAuthz = {
    listen: host?.listen ?? `unix:${join(answers.folder, 'run/check.sock')}`,
    ...host?.extAuthz(answers),
  };
  const isPod = host !== undefined;
  return `${head}${isPod ? POD_NOTE : ''}trustDomains: [${yamlText(answers.trustDomain)}]
extAuthz: { ${keysOf(extAuthz)} }
svid: { workloadApi: ${yamlText(`unix:${answers.workloadApi}`)}, id: ${yamlText(remitId(answers))} }
issuer: { listen: ${yamlText(issuerListenOf(answers.issuer))}, url: ${yamlText(answers.issuer)} }
policies: policies
state: ${isPod ? 'sqlite:/var/lib/remit/state.db' : 'sqlite:state/state.db'}
`;
}

const POD_NOTE = `# For /etc/remit of a single Remit, which has the state and the issuer too. In a cluster the chart makes the configuration of each pod
# from values.yaml, and the authority has both.
`;

const keysOf = (section: Readonly<Record<string, string>>): string =>
  Object.entries(section)
    .map(([key, value]) => `${key}: ${yamlText(value)}`)
    .join(', ');

/** An issuer whose URL is a loopback name listens on loopback only. */
const issuerListenOf = (url: string): string =>
  `${isLoopback(new URL(url).hostname) ? '127.0.0.1' : '0.0.0.0'}:${issuerPortOf(url)}`;
