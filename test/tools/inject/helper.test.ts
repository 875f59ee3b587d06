import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { type Injected, injectedInto } from '../../../src/tools/inject/inject.ts';
import { shippedFragments } from '../../builders/shipped-fragments.ts';

const fragments = shippedFragments();

const injected = (text: string): Injected => {
  const result = injectedInto(text, fragments);
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result;
};

const FORWARD = 'tools=https://tools.acme.test payments=https://payments.acme.test';
const pod = (annotations: string, more = ''): string => `apiVersion: v1
kind: Pod
metadata:
  name: chat
  labels:
    remit.dev/inject: disabled
  annotations:
${annotations}
spec:
  securityContext: { runAsUser: 65532 }
  # The app.
  containers:
    - name: chat
      image: chat:1 # by hand
    - name: shipper
      image: logs:1
${more}`;
const ASKED = `    remit.dev/agent: chat\n    remit.dev/agent-forward: ${FORWARD}`;

interface Entry {
  readonly name: string;
  readonly args?: readonly string[];
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly volumeMounts?: readonly object[];
}
const specOf = (text: string) =>
  (parse(text) as { spec: { containers: Entry[]; initContainers: Entry[]; volumes: Entry[] } }).spec;

// Issue 44, point 1.
describe('the helper of a service, injected', () => {
  it('comes into a pod that asks for it, and its folder to the container of the service alone', () => {
    const source = pod(ASKED);
    const { outcomes, text } = injected(source);
    expect(outcomes).toEqual([{ object: 'Pod/chat', kind: 'injected', warnings: [] }]);
    const { containers, initContainers, volumes } = specOf(text);
    expect(initContainers.map(({ name }) => name)).toEqual(['remit-agent']);
    expect(volumes.map(({ name }) => name)).toEqual(['remit-agent-intents', 'remit-agent', 'remit-agent-identity']);
    expect(initContainers[0]?.env).toContainEqual({ name: 'FORWARD', value: FORWARD });
    const [chat, shipper] = containers;
    expect(chat?.volumeMounts).toEqual([{ name: 'remit-agent', mountPath: '/run/remit-agent', readOnly: true }]);
    expect(chat?.env).toEqual([{ name: 'REMIT_TASKS_SOCKET', value: '/run/remit-agent/tasks/remit.tasks.sock' }]);
    expect(shipper).toEqual({ name: 'shipper', image: 'logs:1' });
    // Lines are added, none is changed, and once.
    expect(text.split('\n')).toEqual(expect.arrayContaining(source.split('\n')));
    expect(injected(text)).toEqual({ text, outcomes: [{ object: 'Pod/chat', kind: 'current', warnings: [] }] });
  });

  it('comes after Remit if the pod gets both, also once more', () => {
    const { text } = injected(pod(ASKED).replace('disabled', 'enabled'));
    expect(specOf(text).initContainers.map(({ name }) => name)).toEqual(['remit', 'remit-agent']);
    expect(injected(text).text).toBe(text);
  });

  it('comes after the containers of Istio and before others', () => {
    const more =
      '  initContainers:\n    - name: istio-init\n    - name: istio-proxy\n      restartPolicy: Always\n    - name: migrate\n';
    const { text } = injected(pod(ASKED, more));
    expect(specOf(text).initContainers.map(({ name }) => name)).toEqual([
      'istio-init',
      'istio-proxy',
      'remit-agent',
      'migrate',
    ]);
  });

  it('keeps variables and mounts of the service', () => {
    const own =
      '      env:\n        - name: PORT\n          value: "1"\n      volumeMounts:\n        - name: data\n          mountPath: /data\n';
    const { text } = injected(pod(ASKED).replace('    - name: shipper\n', `${own}    - name: shipper\n`));
    const [chat] = specOf(text).containers;
    expect(chat?.env?.map(({ name }) => name)).toEqual(['REMIT_TASKS_SOCKET', 'PORT']);
    expect(chat?.volumeMounts).toHaveLength(2);
  });

  it('takes its settings of annotations, and warns of one that it does not know', () => {
    const { outcomes, text } = injected(
      pod(`${ASKED}\n    remit.dev/agent-intents: remit-chat\n    remit.dev/agent-forwards: x`),
    );
    expect(text).toContain('name: remit-chat');
    expect(outcomes[0]?.warnings).toEqual([
      'unknown annotation "remit.dev/agent-forwards": did you mean `remit.dev/agent-forward`?',
    ]);
  });

  const USER = '  securityContext: { runAsUser: 65532 }\n';
  const ofChat = (user: string): string =>
    pod(ASKED).replace('      image: chat:1 # by hand\n', `$&      securityContext: { runAsUser: ${user} }\n`);
  it.each([
    ['the container', ofChat('1000'), '`1000`'],
    ['the pod', pod(ASKED).replace('65532', '1001'), '`1001`'],
  ])('is refused if %s sets a user who cannot use its folder', (_row, source, user) => {
    const message = `the container "chat" of \`Pod/chat\` runs as user ${user}, which cannot use the folder of its helper: set \`runAsUser: 65532\`, or 0`;
    expect(injectedInto(source, fragments)).toEqual({ problems: [{ line: expect.any(Number), message }] });
  });

  it.each([
    ['its own user in a pod of another', ofChat('65532').replace('65532', '1000')],
    ['root in a pod of another user', ofChat('0').replace('65532', '1000')],
  ])('comes into a pod whose service sets %s', (_row, source) => {
    expect(injected(source).outcomes).toEqual([{ object: 'Pod/chat', kind: 'injected', warnings: [] }]);
  });

  it('warns if no user is set, since the image decides then', () => {
    expect(injected(pod(ASKED).replace(USER, '')).outcomes[0]?.warnings).toEqual([
      '`chat` sets no `runAsUser`: its image must run as 65532 or as root, since the folder of its helper is closed to all other users',
    ]);
  });

  it.each([
    [
      'a container that is not there',
      '    remit.dev/agent: chatt\n    remit.dev/agent-forward: a=https://a.test',
      'got "chatt"',
    ],
    ['no upstream', '    remit.dev/agent: chat', 'has `remit.dev/agent` without `remit.dev/agent-forward`'],
  ])('is refused with %s', (_row, annotations, message) => {
    expect(injectedInto(pod(annotations), fragments)).toEqual({
      problems: [{ line: expect.any(Number), message: expect.stringContaining(message) }],
    });
  });
});
