# Shell integration for a POSIX sh (dash, busybox), sourced by $ENV after the user's own files.
# See orch.bash for the marks. There is no hook but the prompts, which are expanded each time; a
# shell below us that inherits them has no __orch_mark, so they show nothing there. M stands in
# PS2: a command was begun and is not complete.

__orch_count=0 __orch_nonce=0 __orch_status=0 __orch_do=/dev/null
__orch_mark=$(\printf '\033]7717;%s' "$__orch_key")
__orch_bel=$(\printf '\007')
__orch_p='${__orch_mark:+$__orch_mark;P;$((__orch_count=__orch_count+1));$?;$__orch_nonce$__orch_bel}'
__orch_b='${__orch_mark:+$__orch_mark;B;$__orch_count$__orch_bel}'
__orch_m='${__orch_mark:+$__orch_mark;M;$__orch_count$__orch_bel}'

__orch_hook() {
  case ${PS1-} in
    "$__orch_p"*"$__orch_b") ;;
    *) PS1=$__orch_p${PS1-}$__orch_b ;;
  esac
  case ${PS2-} in
    *"$__orch_m") ;;
    *) PS2=${PS2-}$__orch_m ;;
  esac
}

__orch_begin() {
  __orch_status=$?
  if [ "$1" = "$__orch_nonce" ]; then __orch_do=/dev/null; else __orch_do=${__orch%/*}/do; fi
  __orch_nonce=$1
  \printf '%b%s;S;%s;%d\007' "$3" "$__orch_mark" "$1" "$__orch_count" >/dev/tty
  return "$__orch_status"
}

__orch_end() {
  \printf '%s;E;%s;%d\007' "$__orch_mark" "$__orch_nonce" "$1" >/dev/tty
  __orch_hook
  return "$1"
}

if (PS1=${PS1-} PS2=${PS2-}) 2>/dev/null; then
  __orch_hook
else
  \printf '%s;N\007' "$__orch_mark" >/dev/tty
fi
