// The npm packages live in build/clients (install.sh), outside of the sources.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export const require = createRequire(new URL('../../build/clients/package.json', import.meta.url));

export const Redis = require('ioredis').Redis;
export const { WebSocketServer } = require('ws');

// As an ES module: laravel-echo's other build is none that Node can load.
export const load = (file) => import(pathToFileURL(require.resolve(file)));
