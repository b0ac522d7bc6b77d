-- Note a deed, unless this very note was made: its answer was lost, and it was sent again.
-- KEYS: stream, this note's mark
-- ARGV: the deed as JSON
if redis.call('SET', KEYS[2], 1, 'NX', 'EX', 600) then
  redis.call('XADD', KEYS[1], '*', 'deed', ARGV[1])
end
