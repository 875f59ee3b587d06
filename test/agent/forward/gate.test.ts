import { execFile } from 'node:child_process';
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { testFolders } from '../../builders/test-folders.ts';
import { type ForwarderUnderTest, raw, startForwarder } from './upstream.ts';

const folder = testFolders(() => forwarder.close());
let forwarder: ForwarderUnderTest;
let asked = 0;
beforeAll(async () => {
  forwarder = await startForwarder(folder());
  forwarder.answer((_request, response) => {
    asked += 1;
    response.end('ok');
  });
});

/** A request with these words, in which `HOST` and `SECRET` are those of the forwarder. */
const sent = async (request: string): Promise<string> => {
  const text = request
    .replaceAll('HOST', `127.0.0.1:${forwarder.port}`)
    .replaceAll('SECRET', forwarder.prefix.slice(1))
    .replaceAll('\n', '\r\n');
  return raw(forwarder.port, text);
};

describe('who may use a forwarder', () => {
  it.each([
    ['no secret', 'GET /v1 HTTP/1.1\nhost: HOST\nconnection: close\n\n', 404],
    ['a part of the secret', 'GET /SECRET2/v1 HTTP/1.1\nhost: HOST\nconnection: close\n\n', 404],
    ['the secret later in the path', 'GET /x/SECRET/v1 HTTP/1.1\nhost: HOST\nconnection: close\n\n', 404],
    ['an absolute target', 'GET http://HOST/SECRET/v1 HTTP/1.1\nhost: HOST\nconnection: close\n\n', 404],
    ['another host', 'GET /SECRET/v1 HTTP/1.1\nhost: evil.test\nconnection: close\n\n', 421],
    ['another port', 'GET /SECRET/v1 HTTP/1.1\nhost: 127.0.0.1:1\nconnection: close\n\n', 421],
    ['no host', 'GET /SECRET/v1 HTTP/1.0\nconnection: close\n\n', 421],
    ['a page', 'GET /SECRET/v1 HTTP/1.1\nhost: HOST\norigin: https://evil.test\nconnection: close\n\n', 403],
    ['a page without an origin', 'GET /SECRET/v1 HTTP/1.1\nhost: HOST\norigin: null\nconnection: close\n\n', 403],
    ['TRACE, which would show the token', 'TRACE /SECRET/v1 HTTP/1.1\nhost: HOST\nconnection: close\n\n', 405],
    [
      'an upgrade',
      'GET /SECRET/v1 HTTP/1.1\nhost: HOST\nconnection: upgrade\nupgrade: websocket\nsec-websocket-key: x\n\n',
      403,
    ],
  ])('refuses %s', async (_name, request, status) => {
    asked = 0;
    const answer = await sent(request);
    expect([answer.slice(0, 12), asked]).toEqual([`HTTP/1.1 ${status}`, 0]);
    const body = JSON.parse(answer.split('\r\n\r\n')[1] ?? '') as Record<string, string>;
    expect(body).toMatchObject({ next: 'change_arguments', reason: expect.stringMatching(/^forward\./) });
    expect(answer).not.toContain(forwarder.prefix);
  });

  it('takes 127.0.0.1 and localhost', async () => {
    const local = `GET /SECRET HTTP/1.1\nhost: localhost:${forwarder.port}\nconnection: close\n\n`;
    expect((await sent(local)).slice(0, 12)).toBe('HTTP/1.1 200');
  });

  it('has secrets of 256 bits, and a folder and files for its user alone', () => {
    expect(forwarder.prefix).toMatch(/^\/[\w-]{43}$/);
    const modes = [forwarder.folder, forwarder.mcpFile].map((path) => (statSync(path).mode & 0o777).toString(8));
    expect([modes, dirname(forwarder.socketPath)]).toEqual([['700', '600'], forwarder.folder]);
    expect(JSON.parse(readFileSync(forwarder.mcpFile, 'utf8'))).toEqual({
      mcpServers: { tools: { type: 'http', url: forwarder.url } },
    });
  });

  const isRoot = process.getuid?.() === 0;
  (isRoot ? it : it.skip)('keeps out another user of the machine', async () => {
    // Its parents are open, so that the folder alone guards.
    chmodSync(dirname(forwarder.folder), 0o1777);
    const script = `
import encodings.idna, os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def tried(what, run):
    try: print(what, run())
    except Exception as error: print(what, type(error).__name__)
def unix():
    at = socket.socket(socket.AF_UNIX); at.connect(sys.argv[1]); return 'connected'
def tcp():
    at = socket.create_connection(('127.0.0.1', int(sys.argv[3])))
    at.sendall(b'GET /mcp HTTP/1.1\\r\\nhost: 127.0.0.1:%s\\r\\nconnection: close\\r\\n\\r\\n' % sys.argv[3].encode())
    return at.recv(100).split()[1].decode()
tried('socket', unix)
tried('file', lambda: open(sys.argv[2]).read())
tried('port', tcp)
`;
    const words = ['-c', script, forwarder.socketPath, forwarder.mcpFile, String(forwarder.port)];
    const { stdout } = await promisify(execFile)('python3', words);
    expect(stdout).toBe('socket PermissionError\nfile PermissionError\nport 404\n');
  });
});
