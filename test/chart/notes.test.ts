import { expect, it } from '@jest/globals';
import { describeWith, helmPart } from '../parts.ts';
import { caseFile, chartFolder, ran } from './chart.ts';

describeWith(helmPart(), 'the notes of an installation say the next command', ([helm]) => {
  const notes = async (name: string): Promise<string> => {
    const release = ['remit', chartFolder, '--namespace', 'remit', '--values', caseFile(name)];
    const { code, stdout } = await ran(helm, ['install', ...release, '--dry-run=client']);
    expect(code).toBe(0);
    return stdout.slice(stdout.indexOf('NOTES:'));
  };

  it.each([
    ['zero', ['create configmap remit-acme', "--set 'sidecar.namespaces={demo}'"]],
    ['sidecars', ['kubectl label namespace payments remit.dev/injection=enabled']],
    ['node', ['let the Envoy of each node ask at unix:/run/remit/check.sock']],
    ['node-by-network', ['remit-node.remit.svc:9470', 'spiffe://example.org/ns/remit/sa/remit-node']],
    ['monitored', ['kubectl get prometheus -A']],
  ])('with the values `%s`', async (name, said) => {
    const text = await notes(name);
    for (const line of said) expect(text).toContain(line);
    expect(text).toContain('kubectl -n remit rollout status statefulset/remit-authority');
  });

  it('and ask for no policies if there are some', async () => {
    expect(await notes('sidecars')).not.toContain('No policies have been given');
  });
});
