import { expect, test } from 'vitest';
import { createEvents } from './events.js';

function listeners() {
  const log: string[] = [];
  const say = (message: string): void => void log.push(message);
  const logger = { debug: say, info: say, warn: say, error: say };
  return { log, events: createEvents<number>(logger) };
}

test('each listener hears each event from when it began until it stops', () => {
  const { events } = listeners();
  const heard: string[] = [];
  events.emit(1);
  const stop = events.subscribe((event) => heard.push(`a${event}`));
  events.emit(2);
  events.subscribe((event) => heard.push(`b${event}`));
  events.emit(3);
  stop();
  stop();
  events.emit(4);
  expect(heard).toEqual(['a2', 'a3', 'b3', 'b4']);
});

test('E1: a listener that fails harms nobody', () => {
  const { events, log } = listeners();
  const heard: number[] = [];
  events.subscribe(() => {
    throw new Error('no');
  });
  events.subscribe((event) => heard.push(event));
  events.emit(1);
  expect(heard).toEqual([1]);
  expect(log).toEqual(['a listener for events failed']);
});

test('a function that listens twice hears twice, and may stop while it is called', () => {
  const { events } = listeners();
  const heard: number[] = [];
  const listener = (event: number): void => {
    heard.push(event);
    if (event === 2) stop();
  };
  const stop = events.subscribe(listener);
  events.subscribe(listener);
  events.emit(1);
  events.emit(2);
  events.emit(3);
  expect(heard).toEqual([1, 1, 2, 2, 3]);
});
