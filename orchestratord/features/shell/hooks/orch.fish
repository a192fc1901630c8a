# Shell integration for fish 3.1 and newer, sourced after the user's own files.
# See orch.bash for the marks and the names.

set -g __orch_count 0
set -g __orch_nonce 0
set -g __orch_status 0
set -g __orch_do /dev/null
set -g __orch_mark \e"]7717;$__orch_key"
set -g __orch_hooks (builtin status filename)

# Before each prompt, but not when one is drawn again. A prompt that somebody has changed since
# gets our mark again.
function __orch_prompted --on-event fish_prompt
    set -g __orch_status $status
    set -g __orch_count (builtin math $__orch_count + 1)
    builtin printf '%s;P;%d;%d;%s\a\e]133;A\a' \
        $__orch_mark $__orch_count $__orch_status $__orch_nonce >/dev/tty
    builtin test "$(builtin functions -D fish_prompt)" = $__orch_hooks; or __orch_hook
    return $__orch_status
end

function __orch_hook
    if builtin functions -q fish_prompt
        builtin functions -e __orch_user_prompt
        builtin functions -c fish_prompt __orch_user_prompt
    else if not builtin functions -q __orch_user_prompt
        function __orch_user_prompt
            builtin echo '> '
        end
    end
    function fish_prompt
        __orch_user_prompt
        builtin printf '%s;B\a\e]133;B\a' $__orch_mark
        __orch_draft
    end
end

# What fish did not accept, or draws again, stands behind the prompt.
function __orch_draft
    builtin contains -- "$(builtin commandline -b)" '' ' builtin source $__orch'
    or builtin printf '%s;D;%d\a' $__orch_mark $__orch_count
end

function __orch_preexec --on-event fish_preexec
    builtin printf '%s;C;%d\a' $__orch_mark $__orch_count >/dev/tty
end

function __orch_enter
    if builtin test -z "$(builtin commandline -b)"
        builtin commandline -r ' builtin source $__orch'
        builtin commandline -f execute
    else
        builtin printf '%s;D;%d\a' $__orch_mark $__orch_count >/dev/tty
    end
end

# Bound to another such key: says whether somebody has begun to type.
function __orch_probe
    set -l letter D
    builtin test -n "$(builtin commandline -b)"; or set letter U
    builtin printf '%s;%s;%d\a' $__orch_mark $letter $__orch_count >/dev/tty
end

function __orch_begin
    set -g __orch_do (builtin string replace -r 'run$' do $__orch)
    builtin test $argv[1] = $__orch_nonce; and set -g __orch_do /dev/null
    set -g __orch_nonce $argv[1]
    builtin history append -- $argv[2] 2>/dev/null
    builtin printf '%b%s;S;%s;%d\a' $argv[3] $__orch_mark $argv[1] $__orch_count >/dev/tty
    return $__orch_status
end

function __orch_end
    builtin printf '%s;E;%s;%d\a' $__orch_mark $__orch_nonce $argv[1] >/dev/tty
    return $argv[1]
end

__orch_hook
for __orch_map in default insert visual
    bind -M $__orch_map \e'[7717;1~' __orch_enter
    bind -M $__orch_map \e'[7717;3~' __orch_probe
end
set -e __orch_map
