import { stringify } from 'yaml';
import type { Answers } from './answers.ts';
import { SHIPPED_HOSTS } from './host-files.ts';
import { SIDECAR_NAMESPACE } from './identities.ts';

/** Values of the chart for these answers. They have an authority, sidecars in one namespace, and the policy folder. */
export function valuesFile(answers: Answers, policies: ReadonlyMap<string, string>): string {
  const host = SHIPPED_HOSTS.get(answers.host);
  // A ConfigMap has no folders: tests and editor settings stay behind.
  const files = [...policies].flatMap(([path, text]) => {
    const [, name] = /^policies\/([^/]+)$/.exec(path) ?? [];
    return name === undefined ? [] : [[name, text] as const];
  });
  const extAuthz = host?.extAuthz(answers) ?? {};
  const values = {
    identity: { trustDomain: answers.trustDomain },
    sidecar: {
      namespaces: [SIDECAR_NAMESPACE],
      audiences: [`https://${answers.tools}`],
      ...(host === undefined ? {} : { listen: [host.listen] }),
      ...(Object.keys(extAuthz).length === 0 ? {} : { config: { extAuthz } }),
    },
    policies: { files: Object.fromEntries(files) },
  };
  return `${HEAD}${stringify(values, { lineWidth: 0 })}`;
}

const HEAD = `# Values of the chart, written by \`remit init\`: helm install remit deploy/chart --namespace remit --create-namespace --values values.yaml
# Pods of \`sidecar.namespaces\` get Remit. \`helm show values deploy/chart\` prints all values.
# The authority is one pod on a SQLite file: while it restarts, sidecars go on for \`authority.leaseSeconds\`, 15 by default.
`;
