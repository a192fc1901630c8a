# Shell integration for bash 4.4 and newer, sourced by rc after the user's own files.
# rc has set __orch (the file that the daemon lets us source) and __orch_key.
# Marks are OSC 7717: P prompt begins, B it has ended, C a command begins, D a draft is in the
# way, S and E begin and end of an exec. None is printed without the key.

__orch_count=0 __orch_nonce=0 __orch_status=0 __orch_accepts='' __orch_history='' __orch_dir=''
__orch_mark=$'\e]7717;'$__orch_key
__orch_b='\['$__orch_mark$';B\a\e]133;B\a\]'

__orch_prompt() {
  __orch_status=$?
  [[ -z $__orch_history ]] || { __orch_history=''; set -o history; }
  PS1=${PS1//"$__orch_b"/}$__orch_b
  [[ ${PS0-} == *"$__orch_mark"* ]] || PS0=${PS0-}$__orch_mark$';C\a'
  builtin printf '%s;P;%d;%d;%s\a\e]133;A\a' \
    "$__orch_mark" "$((++__orch_count))" "$__orch_status" "$__orch_nonce"
  if [[ $PWD != "$__orch_dir" ]]; then
    __orch_dir=$PWD
    builtin printf '\e]7;file://%s%s\a' "${HOSTNAME-}" "${PWD//[^A-Za-z0-9_.\/~-]/?}"
  fi
  return 0
}

# Bound to a key that nobody has. History rests until the next prompt, or it would take the lines
# of the files that we source.  What a human has begun to type is left alone, and said so.
__orch_enter() {
  if [[ -z ${READLINE_LINE-} ]]; then
    READLINE_LINE=' . "$__orch"' READLINE_POINT=12
    [[ $__orch_accepts == yes ]] || builtin bind '"\e[7717;2~": accept-line'
    __orch_accepts=yes
    [[ ! -o history ]] || { __orch_history=on; set +o history; }
  else
    [[ $__orch_accepts == no ]] || builtin bind '"\e[7717;2~": ""'
    __orch_accepts=no
    builtin printf '%s;D\a' "$__orch_mark"
  fi
  return 0
}

# Given NONCE, the command as history keeps it, what makes the screen look as if it had been typed.
# A trigger that is typed twice executes nothing the second time.
__orch_begin() {
  if [[ $1 == "$__orch_nonce" ]]; then __orch_do=/dev/null; else __orch_do=${__orch%/*}/do; fi
  __orch_nonce=$1
  [[ -z $__orch_history ]] || builtin history -s -- "$2"
  builtin printf '%b%s;S;%s\a' "$3" "$__orch_mark" "$1"
  [[ $- == *e* ]] || return "$__orch_status"
}

# Behind output without a newline the prompt begins a line of its own: the spaces wrap.
__orch_end() {
  builtin printf '%s;E;%s;%d\a%*s\r\e[K' \
    "$__orch_mark" "$__orch_nonce" "$1" "$((${COLUMNS:-80} - 1))" ''
  [[ $- == *e* ]] || return "$1"
}

if ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 501)); then
  PROMPT_COMMAND+=(__orch_prompt)
else
  PROMPT_COMMAND=${PROMPT_COMMAND:+$PROMPT_COMMAND$'\n'}__orch_prompt
fi
for __orch_map in emacs-standard vi-insert vi-command; do
  builtin bind -m "$__orch_map" -x '"\e[7717;1~": __orch_enter' 2>/dev/null || :
done
unset __orch_map
