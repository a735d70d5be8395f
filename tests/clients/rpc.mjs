// A program of the tests is asked in JSON lines on stdin and answers on stdout: {"id":1,"call":"rows","with":{..}}, {"id":1,"value":..}.
// What libraries print goes to stderr. Whatever is thrown outside of a call ends the program, with the reason as its last line.
import { createInterface } from 'node:readline';

console.log = console.error;
const write = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

export function serve(methods) {
  for (const event of ['uncaughtException', 'unhandledRejection']) {
    process.on(event, (error) => {
      write({ fatal: error?.stack ?? String(error) });
      process.exit(1);
    });
  }
  const lines = createInterface({ input: process.stdin });
  lines.on('line', async (line) => {
    const { id, call, with: parameters } = JSON.parse(line);
    try {
      write({ id, value: (await methods[call](parameters ?? {})) ?? null });
    } catch (error) {
      write({ id, error: error?.stack ?? String(error) });
    }
  });
  lines.on('close', () => process.exit(0));
}

// Asks again until `condition()` gives something true.
export async function until(condition, what, seconds = 20) {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s in vain: ${typeof what === 'function' ? what() : what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export async function fetchJson(url, body) {
  const answer = await fetch(url, body && { method: 'POST', body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
  return answer.json();
}
